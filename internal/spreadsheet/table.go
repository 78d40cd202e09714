package spreadsheet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// maxRecord bounds what one row may take in the file, so that a quotation mark
// which is never closed does not pull the rest of a large file into memory.
const maxRecord = 1 << 20

// maxBlank is how many blank rows may follow each other: as many as a
// spreadsheet has rows. More are a file that has gone wrong.
const maxBlank = 1 << 20

// Options are for [Open]. The zero value is good: everything is detected.
type Options struct {
	// Encoding is the text's, by a name of [KnownEncoding]. Defaults to that of the
	// file's byte order mark, else to the first that fits: strict UTF-8, then GB18030.
	Encoding string
	// Delimiter separates the cells of text. Defaults to whichever of comma, semicolon,
	// tab and vertical bar is most frequent in the header.
	Delimiter rune
	// Sheet is the name of a workbook's sheet. Defaults to the first one that is visible.
	Sheet string
}

// Format is the detected or given format of a table.
type Format struct {
	// Packing is gzip, zstd or "".
	Packing string
	// Encoding is the text's: ASCII until another character appears; "" for a workbook.
	Encoding string
	// Guessed means that the encoding is a guess: the text is valid GB18030, and may be
	// another two-byte encoding, such as EUC-KR or Shift_JIS.
	Guessed bool
	// Delimiter separates the cells of text; 0 for a workbook.
	Delimiter rune
	// Sheet is the workbook's sheet that is read, Others are the visible sheets that
	// are not; "" and none for text.
	Sheet  string
	Others []string
}

// String is for people: "GB18030, semicolons, gzip".
func (f Format) String() string {
	var parts []string
	if f.Sheet != "" {
		parts = append(parts, "workbook, sheet "+listed([]string{f.Sheet}))
	}
	if len(f.Others) > 0 {
		parts = append(parts, "not read: "+listed(f.Others))
	}
	if f.Encoding != "" {
		parts = append(parts, f.Encoding)
	}
	if f.Delimiter != 0 {
		parts = append(parts, delimiterName(f.Delimiter))
	}
	if f.Packing != "" {
		parts = append(parts, f.Packing)
	}
	return strings.Join(parts, ", ")
}

// Kind is the type of a workbook's cell; a text file has only text.
type Kind uint8

const (
	// KindText is text as it was typed.
	KindText Kind = iota
	// KindNumber is a number, with all its digits.
	KindNumber
	// KindRounded is a number of more digits than a spreadsheet keeps.
	KindRounded
	// KindDate is a date or a time, in ISO 8601.
	KindDate
	// KindCellError is a spreadsheet error, such as #REF!.
	KindCellError
	// KindFormulaWithoutValue is a formula without a cached value.
	KindFormulaWithoutValue
)

// Row is one row with its cells as written.
type Row struct {
	// Line is where the row begins: a line of text, or a workbook's row; from 1.
	Line  int
	Cells []string
	// Kinds are the cells' kinds. Nil means that all are text.
	Kinds []Kind
	// Raw is the row's text where it cannot be split into cells; Cells is nil then.
	Raw string
}

// Kind returns the kind of a cell.
func (r Row) Kind(i int) Kind {
	if i < len(r.Kinds) {
		return r.Kinds[i]
	}
	return KindText
}

func (r Row) blank() bool {
	for i, c := range r.Cells {
		if r.Kind(i) != KindText || strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}

// Error means that a file, or the rest of it, cannot be read.
type Error struct {
	// Line is where reading stopped, from 1.
	Line   int
	Reason string
	// Encoding means that the encoding cannot be detected, and must be given.
	Encoding bool
	// Err is the error of the underlying reader, or nil.
	Err error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("spreadsheet: line %d: %s", e.Line, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// RowError means that one row cannot be split into cells. The rows after it can.
type RowError struct {
	Line   int
	Reason string
}

func (e *RowError) Error() string { return fmt.Sprintf("spreadsheet: line %d: %s", e.Line, e.Reason) }

// rows is text or a workbook. Its error is io.EOF, a [*RowError] after which it
// may be called again, or an [*Error]. Blank rows come too.
type rows interface {
	next() (Row, error)
}

// Table is an open file.
type Table struct {
	format Format
	rows   rows
	done   error
	closes []func()
}

// Open reads until the format is known. It reads a workbook in place from a reader with
// random access (an *os.File of a regular file, a *bytes.Reader), and copies it from a
// stream into a temporary file. The caller closes the table, and the reader. The error
// is an [*Error].
func Open(r io.Reader, opts Options) (*Table, error) {
	t := &Table{}
	if err := t.open(r, opts); err != nil {
		t.Close()
		return nil, asError(err, 1)
	}
	return t, nil
}

func (t *Table) open(r io.Reader, opts Options) error {
	in := bufio.NewReaderSize(r, windowSize)
	in, err := t.unpack(in)
	if err != nil {
		return err
	}
	head := peekLine(in)
	what := sniff(head)
	if what == noText && opts.Encoding != "" {
		what = plainText // the zeros may belong to characters; if not, they are found later
	}
	if what == archive {
		if opts.Encoding != "" || opts.Delimiter != 0 {
			return &Error{Line: 1, Reason: "the file is a workbook, which has no encoding and no delimiter to be given"}
		}
		return t.openWorkbook(r, in, opts.Sheet)
	}
	if what == ole2 {
		head, _ = in.Peek(windowSize)
	}
	if what == noText && maybeUTF16(head) {
		return &Error{Line: 1, Reason: "the file is binary, not a table; if it is UTF-16 text, give the encoding utf-16le, or " + saveAgain, Encoding: true}
	}
	if reason := what.refusal(head); reason != "" {
		return &Error{Line: 1, Reason: reason}
	}
	if opts.Sheet != "" {
		return &Error{Line: 1, Reason: "the file is text and has no sheets to choose from"}
	}
	return t.openText(in, opts)
}

func (t *Table) openText(in *bufio.Reader, opts Options) error {
	d, err := newDecoder(in, opts.Encoding, func(name string, guessed bool) { t.format.Encoding, t.format.Guessed = name, guessed })
	if err != nil {
		return err
	}
	text := newText(d)
	t.format.Delimiter, err = text.prepare(opts.Delimiter)
	t.rows = text
	return err
}

// Format returns the format as it is known by now: text that begins in ASCII shows
// its encoding later.
func (t *Table) Format() Format { return t.format }

// Next returns the next row that is not blank. Its error is io.EOF, a [*RowError]
// after which it may be called again, or an [*Error].
func (t *Table) Next() (Row, error) {
	if t.done != nil {
		return Row{}, t.done
	}
	for blank, first := 0, 0; ; blank++ {
		row, err := t.rows.next()
		if bad, ok := errors.AsType[*RowError](err); ok {
			return row, bad
		}
		if err != nil {
			if t.done = err; !errors.Is(err, io.EOF) {
				e := asError(err, max(1, row.Line))
				t.done, row.Line = e, e.Line
			}
			return row, t.done
		}
		if !row.blank() {
			return row, nil
		}
		if blank == 0 {
			first = row.Line
		}
		if blank == maxBlank {
			t.done = tooBlank(first)
			return Row{Line: first}, t.done
		}
	}
}

func tooBlank(line int) *Error {
	return &Error{Line: line, Reason: fmt.Sprintf("more than %d blank rows begin here; cut them off", maxBlank)}
}

// asError makes an [*Error] of a reader's error.
func asError(err error, line int) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Line: line, Reason: "reading the file broke off", Err: err}
}

// Close releases the table's resources, its temporary files among them.
func (t *Table) Close() {
	for _, c := range t.closes {
		c()
	}
	t.closes, t.done = nil, fs.ErrClosed
}

// peekLine returns the first bytes of a reader: up to 512, or what came with the first
// line. It waits for no more than that.
func peekLine(in *bufio.Reader) []byte {
	const most = 512
	for n := 1; ; n = in.Buffered() + 1 {
		head, err := in.Peek(min(n, most))
		if err == nil && n < most && !strings.Contains(string(head), "\n") {
			continue
		}
		head, _ = in.Peek(min(in.Buffered(), most))
		return head
	}
}
