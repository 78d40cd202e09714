package spreadsheet

import (
	"bytes"
	"errors"
	"io"
)

// lineReader gives every line the same end, a line feed, and counts them: lines
// come with CR LF, with LF, and from old programs with CR alone. It refuses NUL
// bytes, which no text has, and reports where its source broke off.
type lineReader struct {
	src  io.Reader
	line int  // where the next byte stands, from 1
	cr   bool // the last byte was a carriage return
	err  error
}

func (l *lineReader) Read(p []byte) (int, error) {
	for l.err == nil && len(p) > 0 {
		n, err := l.src.Read(p)
		text := p[:n]
		if i := bytes.IndexByte(text, 0); i >= 0 {
			text, err = text[:i], reason("the file holds a NUL byte here: it is binary, or damaged")
		}
		text = l.normalise(text)
		l.line += bytes.Count(text, []byte("\n"))
		l.err = l.placed(err)
		if len(text) > 0 {
			return len(text), nil // the error comes next time, after what is good
		}
	}
	return 0, l.err
}

func (l *lineReader) placed(err error) error {
	if r, ok := errors.AsType[reason](err); ok {
		return &Error{Line: l.line, Reason: string(r)}
	}
	if d, ok := errors.AsType[ambiguousEncoding](err); ok {
		return &Error{Line: l.line, Reason: string(d), Encoding: true}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return asError(err, l.line)
	}
	return err
}

// normalise works within text, which never grows.
func (l *lineReader) normalise(text []byte) []byte {
	if !l.cr && bytes.IndexByte(text, '\r') < 0 {
		return text
	}
	out := text[:0]
	for _, b := range text {
		switch {
		case b == '\r':
			out = append(out, '\n')
		case b == '\n' && l.cr:
		default:
			out = append(out, b)
		}
		l.cr = b == '\r'
	}
	return out
}
