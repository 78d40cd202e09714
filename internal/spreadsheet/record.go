package spreadsheet

import (
	"bytes"
	"errors"
	"io"
)

var errTooLong = errors.New("spreadsheet: row too long")

// limitReader fails on every read beyond end: the CSV reader may report an error of
// its own first, and read on.
type limitReader struct {
	r         io.Reader
	read, end int64
	err       error
}

func (l *limitReader) Read(p []byte) (n int, err error) {
	if l.err == nil && l.read >= l.end {
		l.err = errTooLong
	}
	if l.err != nil {
		return 0, l.err
	}
	n, l.err = l.r.Read(p[:min(int64(len(p)), l.end-l.read)])
	l.read += int64(n)
	return n, l.err
}

// recorder records the text since the current row began.
type recorder struct {
	r    io.Reader
	from int64 // the offset of the first byte in kept
	kept []byte
}

func (k *recorder) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	k.kept = append(k.kept, p[:n]...)
	return n, err
}

// discard forgets the text before an offset.
func (k *recorder) discard(offset int64) {
	k.kept = k.kept[:copy(k.kept, k.kept[offset-k.from:])]
	k.from = offset
}

// until returns the text up to an offset.
func (k *recorder) until(offset int64) string { return string(k.kept[:offset-k.from]) }

func (k *recorder) onlyLineEnds() bool {
	return len(k.kept) > 0 && bytes.Count(k.kept, []byte("\n")) == len(k.kept)
}
