// Package sheet reads tables as people send them: text with separators, in the
// encodings and with the line ends that spreadsheets write, and workbooks (.xlsx),
// each also packed with gzip or zstd.
//
// It promises a row at a time, each with its place; memory that is bounded
// whatever the file holds; and that a guess which could be wrong is an error, since
// a name in the wrong encoding is a wrong name. Shared strings of a workbook, and
// workbooks that cannot be read at any place, wait in temporary files.
//
// It refuses to know what a column means.
package sheet
