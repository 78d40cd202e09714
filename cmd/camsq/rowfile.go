package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/camsq/camsq/internal/spreadsheet"
)

// rowWriter writes a file's rows, each with what is added to it. It is ended by
// its caller.
type rowWriter interface {
	begin(header, added []string) error
	row(cells, added []string) error
	// flush gives out what can be.
	flush() error
	// end completes the file, which has begun.
	end() error
}

// newRowWriter returns the writer of the form that a file's name asks for.
func newRowWriter(name string, out io.Writer, delimiter func() rune) (rowWriter, error) {
	switch ending := strings.ToLower(filepath.Ext(name)); ending {
	case "", ".csv", ".txt":
		return &csvRows{raw: out, csv: csv.NewWriter(out), delimiter: delimiter}, nil
	case ".xlsx":
		return &bookRows{out: out}, nil
	case ".jsonl", ".ndjson":
		return &jsonRows{out: bufio.NewWriter(out)}, nil
	default:
		return nil, usage("-o %s: the name must end in .csv (or .txt), .xlsx or .jsonl (or .ndjson), which says what is written", name)
	}
}

// csvRows is text that a spreadsheet opens rightly and safely: with a mark of
// UTF-8, and without formulas.
type csvRows struct {
	raw       io.Writer
	csv       *csv.Writer
	delimiter func() rune // is known once the input's header is read
}

func (w *csvRows) begin(header, added []string) error {
	w.csv.Comma = textDelimiter(w.delimiter())
	if _, err := io.WriteString(w.raw, "\ufeff"); err != nil {
		return err
	}
	return w.row(header, added)
}

func (w *csvRows) row(cells, added []string) error {
	all := slices.Concat(cells, added)
	for i, c := range all {
		all[i] = spreadsheet.Guard(c)
	}
	return w.csv.Write(all)
}

func (w *csvRows) flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

func (w *csvRows) end() error { return w.flush() }

// bookRows is a workbook, whose cells are texts: none is a formula.
type bookRows struct {
	out  io.Writer
	book *spreadsheet.BookWriter
}

func (w *bookRows) begin(header, added []string) (err error) {
	if w.book, err = spreadsheet.NewBookWriter(w.out); err != nil {
		return err
	}
	return w.row(header, added)
}

func (w *bookRows) row(cells, added []string) error {
	err := w.book.Write(slices.Concat(cells, added))
	if errors.Is(err, spreadsheet.ErrBookFull) {
		return errors.New("a workbook has room for 1,048,576 rows of 16,384 columns; name a .csv")
	}
	return err
}

func (w *bookRows) flush() error { return nil }

func (w *bookRows) end() error { return w.book.Close() }

// jsonRows is a line of JSON for each row: the row as it was under "row", and what
// is added beside it.
type jsonRows struct {
	out           *bufio.Writer
	header, added []string
}

func (w *jsonRows) begin(header, added []string) error {
	w.header, w.added = header, added
	return nil
}

func (w *jsonRows) row(cells, added []string) error {
	line := []byte(`{"row":`)
	line = appendObject(line, w.header, cells)
	rest := appendObject(nil, w.added, added)
	line = append(append(line, ','), rest[1:]...)
	_, err := w.out.Write(append(line, '\n'))
	return err
}

// appendObject appends an object that keeps the order of its names.
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

func (w *jsonRows) flush() error { return w.out.Flush() }

func (w *jsonRows) end() error { return w.flush() }
