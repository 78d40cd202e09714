package spreadsheet

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds the memory that a zstd file may ask for. It is what the
// zstd command itself unpacks by default.
const maxZstdWindow = 8 << 20

// packings are the ways to pack a file that are unpacked here.
var packings = []struct {
	magic, name string
	open        func(io.Reader) (io.Reader, func(), error)
}{
	{"\x1f\x8b", "gzip", func(r io.Reader) (io.Reader, func(), error) {
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	}},
	{"\x28\xb5\x2f\xfd", "zstd", func(r io.Reader) (io.Reader, func(), error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}},
}

// unpack returns what a packed file holds, and any other file as it is.
func (t *Table) unpack(in *bufio.Reader) (*bufio.Reader, error) {
	head := peekLine(in)
	for _, p := range packings {
		if !strings.HasPrefix(string(head), p.magic) {
			continue
		}
		if t.format.Packing != "" {
			return nil, &Error{Line: 1, Reason: "the file is packed more than once; unpack it first"}
		}
		t.format.Packing = p.name
		r, stop, err := p.open(in)
		if err != nil {
			return nil, damaged(err, p.name)
		}
		t.closes = append(t.closes, stop)
		return t.unpack(bufio.NewReaderSize(packed{r, p.name}, windowSize))
	}
	if other := packedOtherwise(head); other != "" {
		return nil, &Error{Line: 1, Reason: "the file is " + string(other) + "; unpack it first, or pack it as .gz or .zst instead"}
	}
	return in, nil
}

// packed words what is wrong with a packed file.
type packed struct {
	io.Reader
	name string
}

func (p packed) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = damaged(err, p.name)
	}
	return n, err
}

func damaged(err error, name string) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return reason("the " + name + " file is cut off here; get it once more, whole")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return reason("the zstd file takes more than 8 MiB of memory to unpack; pack it without --long or --ultra")
	case isCorrupt(err), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, zstd.ErrCRCMismatch), errors.Is(err, zstd.ErrMagicMismatch):
		return reason("the " + name + " file is damaged here; get it once more")
	}
	return err
}

func isCorrupt(err error) bool {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	return corrupt
}

// ambiguousEncoding is an error: no encoding fits, or several do.
type ambiguousEncoding string

func (d ambiguousEncoding) Error() string { return string(d) }

// reason is an error in what a file holds. It gets its line from who counts lines.
type reason string

func (r reason) Error() string { return string(r) }
