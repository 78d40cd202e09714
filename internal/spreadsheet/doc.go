// Package spreadsheet reads and writes tables as spreadsheet programs do: delimited text,
// read in the common encodings and with any line ends, and workbooks (.xlsx), each also
// compressed with gzip or zstd.
//
// It promises one row at a time, with its line; bounded memory, whatever the file
// holds; and an error in place of an uncertain guess, since a name in the wrong encoding
// is a wrong name. It keeps a workbook's shared strings, and a workbook that comes as a
// stream, in temporary files.
//
// It does not know what a column means.
package spreadsheet
