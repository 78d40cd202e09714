package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/camsq/camsq/internal/sheet"
)

// rowWriter writes a file's rows, each with what is added to it. It is flushed and
// ended by its caller.
type rowWriter interface {
	begin(header, added []string) error
	row(cells, added []string) error
	// flush gives out what can be.
	flush() error
	// end completes the file.
	end() error
	// release lets go of what the writer holds; it comes last, with or without an end.
	release()
}

// newRowWriter returns the writer of the form that a file's name asks for.
func newRowWriter(name string, out io.Writer, delimiter func() rune) (rowWriter, error) {
	switch ending := strings.ToLower(filepath.Ext(name)); ending {
	case "", ".csv", ".txt":
		return &csvRows{raw: out, csv: csv.NewWriter(out), delimiter: delimiter}, nil
	case ".xlsx":
		return newBookRows(out)
	case ".jsonl", ".ndjson":
		return &jsonRows{out: bufio.NewWriter(out)}, nil
	default:
		return nil, usage("-o %s: the name must end in .csv, .xlsx or .jsonl, which says what is written", name)
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
		all[i] = sheet.Guard(c)
	}
	return w.csv.Write(all)
}

func (w *csvRows) flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

func (w *csvRows) end() error { return w.flush() }

func (w *csvRows) release() {}

// bookSize is how many rows a workbook's sheet has.
const bookSize = 1 << 20

// bookRows is a workbook, whose cells are texts: none is a formula. Its rows wait
// in a temporary file until it ends.
type bookRows struct {
	out  io.Writer
	book *excelize.File
	rows *excelize.StreamWriter
	n    int
}

func newBookRows(out io.Writer) (*bookRows, error) {
	w := &bookRows{out: out, book: excelize.NewFile()}
	var err error
	w.rows, err = w.book.NewStreamWriter("Sheet1")
	return w, err
}

func (w *bookRows) begin(header, added []string) error {
	bold, err := w.book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	if err := w.rows.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	return w.write(header, added, excelize.RowOpts{StyleID: bold})
}

func (w *bookRows) row(cells, added []string) error { return w.write(cells, added) }

func (w *bookRows) write(cells, added []string, opts ...excelize.RowOpts) error {
	if w.n++; w.n > bookSize {
		return fmt.Errorf("a workbook holds no more than %s rows; write a .csv", thousands(bookSize))
	}
	all := make([]any, 0, len(cells)+len(added))
	for _, c := range slices.Concat(cells, added) {
		all = append(all, c)
	}
	return w.rows.SetRow(fmt.Sprintf("A%d", w.n), all, opts...)
}

func (w *bookRows) flush() error { return nil }

func (w *bookRows) end() error {
	if err := w.rows.Flush(); err != nil {
		return err
	}
	_, err := w.book.WriteTo(w.out)
	return err
}

func (w *bookRows) release() { _ = w.book.Close() }

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

func (w *jsonRows) release() {}
