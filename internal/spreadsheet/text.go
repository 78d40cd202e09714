package spreadsheet

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// text reads rows of text as they are written, each with its place.
type text struct {
	in    *bufio.Reader
	lines *lineReader
	limit *limitReader
	kept  *recorder
	csv   *csv.Reader
	// skipped is how many lines were read before the csv reader began, and last the
	// line on which the last row ended.
	skipped, last int
}

func newText(decoded io.Reader) *text {
	lines := &lineReader{src: decoded, line: 1}
	return &text{lines: lines, in: bufio.NewReaderSize(lines, headerSize)}
}

// prepare finds the delimiter, if none is given, and prepares reading the first row.
func (t *text) prepare(delimiter rune) (rune, error) {
	said := t.spokenDelimiter()
	if delimiter == 0 {
		delimiter = said
	}
	if delimiter == 0 {
		delimiter = guessDelimiter(t.header())
	}
	if !validDelimiter(delimiter) {
		return 0, &Error{Line: 1, Reason: fmt.Sprintf("%q cannot stand between cells", delimiter)}
	}
	t.limit = &limitReader{r: t.in}
	t.kept = &recorder{r: t.limit}
	t.csv = csv.NewReader(t.kept)
	t.csv.Comma = delimiter
	t.csv.FieldsPerRecord = -1 // the caller counts, and knows what to say
	t.csv.ReuseRecord = true
	return delimiter, nil
}

// next returns a row. Its error is io.EOF, a [*RowError] after which it may be
// called again, or an [*Error].
func (t *text) next() (Row, error) {
	start := t.csv.InputOffset()
	t.kept.discard(start)
	t.limit.end = start + maxRecord
	record, err := t.csv.Read()
	if err == nil {
		line, _ := t.csv.FieldPos(0)
		end, _ := t.csv.FieldPos(len(record) - 1)
		t.last = t.skipped + end + strings.Count(record[len(record)-1], "\n")
		return Row{Line: t.skipped + line, Cells: append([]string(nil), record...)}, nil
	}
	if errors.Is(err, io.EOF) {
		return Row{}, io.EOF
	}
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		line := t.skipped + parse.StartLine
		t.last = t.skipped + parse.Line
		raw := t.kept.until(t.csv.InputOffset())
		return Row{Line: line, Raw: strings.Trim(raw, "\n")}, t.misquoted(parse, line)
	}
	line := t.last + 1
	if errors.Is(err, errTooLong) {
		if t.kept.onlyLineEnds() {
			return Row{Line: line}, tooBlank(line)
		}
		return Row{Line: line}, &Error{Line: line, Reason: "the row that begins here is longer than 1 MiB; is there a quotation mark that is not closed?"}
	}
	return Row{Line: line}, err
}

// misquoted words a quotation mark that stands where none may. Reading goes on
// with the line after it; which lines were lost until there, it says.
func (t *text) misquoted(parse *csv.ParseError, line int) error {
	const stray = "has a stray quotation mark, or one that is not closed"
	switch {
	case parse.Line == parse.StartLine:
		return &RowError{Line: line, Reason: fmt.Sprintf(`%s, at byte %d; write a mark inside a quoted field twice ("")`, stray, parse.Column)}
	case errors.Is(t.limit.err, io.EOF) && t.csv.InputOffset() == t.limit.read:
		return &Error{Line: line, Reason: "the row " + stray + "; from here to its end the file was not read"}
	}
	return &RowError{Line: line, Reason: fmt.Sprintf("%s; lines %d to %d were not read", stray, line, t.skipped+parse.Line)}
}
