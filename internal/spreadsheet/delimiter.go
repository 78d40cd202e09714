package spreadsheet

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// headerSize is how much of a text is looked at for its delimiter.
const headerSize = 64 << 10

// delimiters are those that are detected, the likeliest first.
const delimiters = ",;\t|"

func delimiterName(d rune) string {
	switch d {
	case ',':
		return "commas"
	case ';':
		return "semicolons"
	case '\t':
		return "tabs"
	case '|':
		return "vertical bars"
	}
	return fmt.Sprintf("separated by %q", d)
}

// validDelimiter is what encoding/csv demands of one.
func validDelimiter(d rune) bool {
	return d != 0 && d != '"' && d != '\r' && d != '\n' && utf8.ValidRune(d) && d != utf8.RuneError
}

// spokenDelimiter takes away a first line that Excel reads as an instruction:
// "sep=;". It returns what the line says, or 0.
func (t *text) spokenDelimiter() rune {
	const word = "sep="
	line, _ := t.in.Peek(len(word))
	if !strings.EqualFold(string(line), word) {
		return 0
	}
	for n := len(word) + 1; n <= len(word)+utf8.UTFMax+1; n++ {
		line, err := t.in.Peek(n)
		d, size := utf8.DecodeRune(line[min(len(word), len(line)):])
		switch {
		case err != nil:
			return 0
		case strings.HasSuffix(string(line), "\n") && validDelimiter(d) && size == len(line)-len(word)-1:
			_, _ = t.in.Discard(len(line)) // cannot fail: it is in the buffer
			t.skipped, t.last = 1, 1
			return d
		}
	}
	return 0
}

// header returns the first row of a text, or as much of it as is looked at.
func (t *text) header() []byte {
	for n := 1; ; n = t.in.Buffered() + 1 {
		head, err := t.in.Peek(min(n, headerSize))
		if row := firstRow(head); row != nil {
			return row
		}
		if err != nil || n > headerSize {
			return head
		}
		if more := t.in.Buffered(); more > len(head) {
			head, _ = t.in.Peek(more)
			if row := firstRow(head); row != nil {
				return row
			}
		}
	}
}

// firstRow returns the first row that is not blank, or nil if its end is not in
// sight: a line end in quotation marks is none.
func firstRow(text []byte) []byte {
	quoted, start := false, 0
	for i, b := range text {
		switch {
		case b == '"':
			quoted = !quoted
		case b == '\n' && !quoted:
			if strings.Trim(string(text[start:i]), " "+delimiters) != "" {
				return text[start:i]
			}
			start = i + 1
		}
	}
	return nil
}

// guessDelimiter returns the delimiter of which a header has most outside of
// quotation marks; a comma if it has none.
func guessDelimiter(header []byte) rune {
	var counts [len(delimiters)]int
	quoted := false
	for _, b := range header {
		if b == '"' {
			quoted = !quoted
		}
		if i := strings.IndexByte(delimiters, b); i >= 0 && !quoted {
			counts[i]++
		}
	}
	best := 0
	for i, n := range counts {
		if n > counts[best] {
			best = i
		}
	}
	return rune(delimiters[best])
}

// ParseDelimiter reads a delimiter as people give it: the character itself, or
// comma, semicolon, tab, pipe, \t.
func ParseDelimiter(name string) (rune, error) {
	switch strings.ToLower(name) {
	case "comma":
		return ',', nil
	case "semicolon":
		return ';', nil
	case "tab", `\t`:
		return '\t', nil
	case "pipe", "bar":
		return '|', nil
	}
	d, size := utf8.DecodeRuneInString(name)
	if name == "" || size != len(name) || !validDelimiter(d) {
		return 0, errors.New("must be one character that is no quotation mark and no line end, or comma, semicolon, tab or pipe")
	}
	return d, nil
}
