// Package rowfile reads CreateInstance jobs from a table: a CSV file or a workbook, one
// job a row.
//
// It promises one row at a time and bounded memory, and an error for every row that is
// no valid job, with its line and what to do. It does not put jobs into the queue: that
// is [github.com/camsq/camsq/enqueue.Client.CreateAll].
package rowfile

import (
	"errors"
	"io"
	"iter"

	"github.com/camsq/camsq/internal/spreadsheet"
	"github.com/camsq/camsq/tasks"
)

// RejectedColumn is the name of the first column of a file of rejected rows: why the
// row was rejected, for people. [Read] leaves that column out and removes the
// apostrophes that guard the other cells, so that it reads a corrected file of rejected
// rows as it is.
const RejectedColumn = "camsq_rejected"

// Options are for [Read]. The zero value is good.
type Options struct {
	// File is the file's name for messages. Defaults to none.
	File string
	// Account is the account of rows that name none. Defaults to "default".
	Account string
	// Batch is the batch of every row. Defaults to none.
	Batch string
	// Priority is the priority of rows that name none. Defaults to the normal one.
	Priority tasks.Priority
	// Rules validate every row. Defaults to those of [tasks.Rules].
	Rules tasks.Rules

	// Encoding is the text's, by its name in the WHATWG's list (gb18030, windows-1252).
	// Defaults to that of the file's byte order mark, else to the first that fits:
	// strict UTF-8, then GB18030.
	Encoding string
	// Delimiter separates the cells of text. Defaults to whichever of comma, semicolon,
	// tab and vertical bar is most frequent in the header.
	Delimiter rune
	// Sheet is the name of a workbook's sheet. Defaults to the first visible one.
	Sheet string

	// Map renames columns: from a name in the file to a known one.
	Map map[string]string
	// Set holds values, by column name, for rows that have none.
	Set map[string]string
	// IgnoreUnknown leaves unknown columns out. Otherwise they are an error.
	IgnoreUnknown bool

	// OnFormat gets the file's format after the header is read, and again when later
	// text shows its encoding. It may be nil.
	OnFormat func(FileInfo)
}

// FileInfo is the detected format of a file.
type FileInfo struct {
	// Format is for people: "GB18030, semicolons".
	Format string
	// Delimiter separates the cells of text; 0 for a workbook.
	Delimiter rune
	// Ignored are the columns that [Options].IgnoreUnknown leaves out.
	Ignored []string
	// Guessed is the encoding if it is a guess from the text alone: GB18030, in which
	// nearly any pair of bytes is a character. "" otherwise.
	Guessed string
}

// Row is a job with its place in the file.
type Row struct {
	// Line is where the row begins, counted from 1; in a workbook it is the row.
	Line int
	// Header and Cells are the file's first row and this one, as written. Cells may be
	// more or fewer than the header; it is nil if the row cannot be split into cells.
	// The rows of a file share their Header.
	Header, Cells []string
	// Raw is the row's text if it cannot be split into cells.
	Raw string
	// Job is normalised and valid; it is empty if the row has an error.
	Job tasks.Job
	// Name is the job's InstanceName as written in the file. It differs from the job's
	// in invisible characters only: see [tasks.Job.Normalize].
	Name string
}

// Read reads jobs from a table: delimited text in any common encoding, or a workbook
// (.xlsx), each also compressed with gzip or zstd; the file's name plays no part. It
// holds one row at a time, of at most 1 MiB. It reads a workbook in place if r is an
// *os.File or has Size and ReadAt; otherwise it copies the workbook into a temporary
// file, as it does a workbook's shared strings. The sequence can be used once.
//
// The first row names the columns: the parameters of CreateInstance, of which
// ChannelType and InstanceName are required, and job_id, account, priority (high
// or normal), callback_url and metadata.KEY. Case and underscores do not matter
// (instance_name), except in KEY. Read skips blank rows.
//
// A row that is no valid job yields a [*RowError], and reading goes on. A value that a
// spreadsheet program has damaged (a date in place of a name, 3.9E+08 in place of an ID)
// is not valid. A [*FileError] is always the last element: the file or its header is
// unusable, it has no rows, or the reader failed. Two rows of the same job are both
// yielded, with the same ID; so are rows whose names differ in invisible characters
// only, which [Row].Name shows.
func Read(r io.Reader, opts Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		table, err := spreadsheet.Open(r, spreadsheet.Options{Encoding: opts.Encoding, Delimiter: opts.Delimiter, Sheet: opts.Sheet})
		if err != nil {
			yield(Row{Line: 1}, fileError(opts.File, err))
			return
		}
		defer table.Close()
		in := &reader{opts: opts, table: table}
		if line, err := in.readHeader(); err != nil {
			yield(Row{Line: line}, err)
			return
		}
		rows := 0
		for {
			row, err := in.next()
			if errors.Is(err, io.EOF) {
				break
			}
			rows++
			if !yield(row, err) {
				return
			}
			if _, fatal := errors.AsType[*FileError](err); fatal {
				return
			}
		}
		if rows == 0 {
			yield(Row{Line: in.line}, &FileError{File: opts.File, Line: in.line, Reason: "the file has a header but no rows"})
		}
	}
}
