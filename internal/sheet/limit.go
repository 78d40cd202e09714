package sheet

import (
	"bytes"
	"errors"
	"io"
)

var errTooLong = errors.New("sheet: row too long")

// limitReader fails once a byte beyond end is asked for, and then for good: the
// CSV reader may put a complaint of its own before an error, and read on.
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

// keeper keeps what was read since the row began.
type keeper struct {
	r    io.Reader
	from int64 // the offset of the first byte kept
	kept []byte
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	k.kept = append(k.kept, p[:n]...)
	return n, err
}

// begin forgets what stands before an offset.
func (k *keeper) begin(offset int64) {
	k.kept = k.kept[:copy(k.kept, k.kept[offset-k.from:])]
	k.from = offset
}

// until returns the text up to an offset.
func (k *keeper) until(offset int64) string { return string(k.kept[:offset-k.from]) }

func (k *keeper) onlyLineEnds() bool {
	return len(k.kept) > 0 && bytes.Count(k.kept, []byte("\n")) == len(k.kept)
}
