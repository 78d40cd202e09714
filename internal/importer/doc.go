// Package importer turns the rows of files into jobs: it opens inputs, finds rows that come
// twice, counts what became of each row, and writes rejected rows into a file of their own.
// It prints nothing: a caller gets a [Notice] for each row that needs a correction, and a
// [Report] for each file.
package importer
