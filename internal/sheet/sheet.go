package sheet

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
	// Encoding is the text's, under a name of [KnownEncoding]. Defaults to what the
	// file's mark says, or else to what fits: strict UTF-8, then GB18030.
	Encoding string
	// Delimiter stands between the cells of text. Defaults to the one of comma,
	// semicolon, tab and vertical bar that the header has most of.
	Delimiter rune
	// Sheet is the name of a workbook's sheet. Defaults to the first one that is visible.
	Sheet string
}

// Format is what a table was found to be, or said to be.
type Format struct {
	// Packing is gzip, zstd or "".
	Packing string
	// Encoding is the text's, ASCII as long as nothing else was met; "" for a workbook.
	Encoding string
	// Guessed says that the encoding is only what the text looks like: it passes for
	// GB18030, and may be another one of two bytes, such as EUC-KR or Shift_JIS.
	Guessed bool
	// Delimiter is what stands between the cells of text; 0 for a workbook.
	Delimiter rune
	// Sheet is the workbook's sheet that is read, and Others are the visible ones
	// that are not; "" and none for text.
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

// Kind says what a cell of a workbook is; text files know texts alone.
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
	// KindFault is an error of the spreadsheet's, such as #REF!.
	KindFault
	// KindUncounted is a formula whose value nobody has worked out.
	KindUncounted
)

// Row is one row, its cells as they are written.
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

// Error says that a file cannot be read, or not any further.
type Error struct {
	// Line is where reading stopped, from 1.
	Line   int
	Reason string
	// Encoding says that the encoding could not be told: it must be given.
	Encoding bool
	// Err is why reading broke off, where it was not for what the file holds.
	Err error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("sheet: line %d: %s", e.Line, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// RowError says that one row cannot be split into cells; those after it can.
type RowError struct {
	Line   int
	Reason string
}

func (e *RowError) Error() string { return fmt.Sprintf("sheet: line %d: %s", e.Line, e.Reason) }

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

// Open reads up to where the format is known. It takes a file that can be read at
// any place as such (an *os.File of a regular file, a *bytes.Reader); everything
// else is read as a stream, and a workbook then waits in a temporary file. The
// table must be closed; the reader stays the caller's. Its error is an [*Error].
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
	what := recognise(head)
	if what == noText && opts.Encoding != "" {
		what = plainText // the zeros may belong to characters; if not, they are found later
	}
	if what == archive {
		if opts.Encoding != "" || opts.Delimiter != 0 {
			return &Error{Line: 1, Reason: "the file is a workbook, which has no encoding and no delimiter to be given"}
		}
		return t.openWorkbook(r, in, opts.Sheet)
	}
	if what == compound {
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
	t.format.Delimiter, err = text.begin(opts.Delimiter)
	t.rows = text
	return err
}

// Format returns what is known of the file by now: text that begins in ASCII
// tells its encoding later.
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

// asError makes an [*Error] of what a reader failed with.
func asError(err error, line int) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Line: line, Reason: "reading the file broke off", Err: err}
}

// Close lets go of what the table holds, its temporary files among them. The
// table cannot be read after it.
func (t *Table) Close() {
	for _, c := range t.closes {
		c()
	}
	t.closes, t.done = nil, fs.ErrClosed
}

// peekLine returns the beginning of what a reader holds: up to 512 bytes, or what
// came with the first line; it waits for no more than that.
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
