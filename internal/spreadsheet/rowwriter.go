package spreadsheet

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// RowWriter writes a table, each row followed by added columns. It writes one header,
// any number of rows, and is closed once; it does not close the underlying writer.
type RowWriter interface {
	// Header writes the names of the table's columns and of the added ones.
	Header(columns, added []string) error
	// Row writes a row, which has as many cells as the header.
	Row(cells, added []string) error
	// Flush writes buffered rows, as far as the form allows.
	Flush() error
	// Close completes the table.
	Close() error
}

// Form is the form of a table that [NewRowWriter] writes.
type Form int

// The forms. A spreadsheet program opens CSV safely: it has a UTF-8 byte order mark and
// no formulas. JSONLines has an object for each row, the table's own cells in its "row".
const (
	CSV Form = iota
	Workbook
	JSONLines
)

// FormOf returns the form that a file's name asks for by its extension: .csv, .txt or
// none, .xlsx, .jsonl or .ndjson.
func FormOf(name string) (f Form, ok bool) {
	switch strings.ToLower(filepath.Ext(name)) {
	case "", ".csv", ".txt":
		return CSV, true
	case ".xlsx":
		return Workbook, true
	case ".jsonl", ".ndjson":
		return JSONLines, true
	}
	return 0, false
}

// NewRowWriter returns a writer of a form. delimiter returns what separates the cells of
// CSV; it is called with the header, and 0 is a comma. It may be nil.
func NewRowWriter(f Form, out io.Writer, delimiter func() rune) RowWriter {
	switch f {
	case Workbook:
		return &bookRows{out: out}
	case JSONLines:
		return &jsonRows{out: bufio.NewWriter(out)}
	case CSV:
	}
	return &csvRows{raw: out, csv: csv.NewWriter(out), delimiter: delimiter}
}

type csvRows struct {
	raw       io.Writer
	csv       *csv.Writer
	delimiter func() rune
}

func (w *csvRows) Header(columns, added []string) error {
	if w.delimiter != nil {
		if d := w.delimiter(); d != 0 {
			w.csv.Comma = d
		}
	}
	if _, err := io.WriteString(w.raw, "\ufeff"); err != nil {
		return err
	}
	return w.Row(columns, added)
}

func (w *csvRows) Row(cells, added []string) error {
	all := slices.Concat(cells, added)
	for i, c := range all {
		all[i] = Guard(c)
	}
	return w.csv.Write(all)
}

func (w *csvRows) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

func (w *csvRows) Close() error { return w.Flush() }

// bookRows writes text cells only: none is a formula.
type bookRows struct {
	out  io.Writer
	book *BookWriter
}

func (w *bookRows) Header(columns, added []string) (err error) {
	if w.book, err = NewBookWriter(w.out); err != nil {
		return err
	}
	return w.Row(columns, added)
}

func (w *bookRows) Row(cells, added []string) error { return w.book.Write(slices.Concat(cells, added)) }

func (w *bookRows) Flush() error { return nil }

func (w *bookRows) Close() error { return w.book.Close() }

type jsonRows struct {
	out            *bufio.Writer
	columns, added []string
}

func (w *jsonRows) Header(columns, added []string) error {
	w.columns, w.added = columns, added
	return nil
}

func (w *jsonRows) Row(cells, added []string) error {
	line := appendObject([]byte(`{"row":`), w.columns, cells)
	if rest := appendObject(nil, w.added, added); len(w.added) > 0 {
		line = append(append(line, ','), rest[1:]...)
	} else {
		line = append(line, '}')
	}
	_, err := w.out.Write(append(line, '\n'))
	return err
}

// appendObject appends a JSON object that keeps the order of its names.
func appendObject(line []byte, names, values []string) []byte {
	line = append(line, '{')
	for i, name := range names {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(appendText(line, name), ':'), appendText(nil, values[i])...)
	}
	return append(line, '}')
}

func appendText(line []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // cannot fail
	return append(line, quoted...)
}

func (w *jsonRows) Flush() error { return w.out.Flush() }

func (w *jsonRows) Close() error { return w.Flush() }
