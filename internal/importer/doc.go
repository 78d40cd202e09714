// Package importer turns the rows of files into jobs: it opens inputs, tells rows that
// come twice, keeps what became of each row, and writes the rejected ones into a file
// of their own. It writes one line about each row that needs a correction to the writer
// that it is given.
package importer
