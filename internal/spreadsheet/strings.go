package spreadsheet

import (
	"bufio"

	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

const (
	// blockSize is how much text of shared strings stands together in the temporary
	// file, and blockCount how many strings.
	blockSize  = 8 << 10
	blockCount = 64
	// cachedBlocks are kept in memory.
	cachedBlocks = 256
	// maxText is the longest text of a cell, 32,767 characters, in bytes.
	maxText = 32767 * 4
	// maxBlocks bounds the index.
	maxBlocks = 1 << 20
)

// sharedStrings are the texts that a workbook's cells name by number. A workbook
// may have millions of them, so they wait in a temporary file, some dozens in a
// block; only where each block begins is kept, and the blocks used last.
type sharedStrings struct {
	file   tempFile
	opened bool
	count  int
	// firsts and offsets are the number of each block's first string, and where the
	// block begins.
	firsts  []int
	offsets []int64
	end     int64
	cache   [cachedBlocks]block
}

// block is a block as it stands in the file.
type block struct {
	number int // from 1; 0 is none
	raw    []byte
}

// readStrings reads the shared strings of a workbook, if it has any.
func (b *workbook) readStrings() (*sharedStrings, error) {
	s := &sharedStrings{}
	if b.strings == "" {
		return s, nil
	}
	p, err := b.openPart(b.strings)
	if err != nil {
		return s, err
	}
	defer p.Close()
	if s.file, err = newTempFile(); err != nil {
		return s, err
	}
	s.opened = true
	if err := s.read(p); err != nil {
		s.close()
		return s, err
	}
	return s, nil
}

func (s *sharedStrings) read(r io.Reader) error {
	limit := &limitReader{r: r}
	d := xml.NewDecoder(bufio.NewReaderSize(limit, 64<<10))
	out := bufio.NewWriterSize(s.file, 64<<10)
	var text []byte
	within, phonetic := false, 0
	limit.end = maxRowXML
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if errors.Is(err, errTooLong) {
			return reason("the workbook has a text of more than 4 MiB, as no honest one does")
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "t":
				within = phonetic == 0
			case "rPh":
				phonetic++
			}
		case xml.CharData:
			if within {
				text = append(text, e...)
			}
		case xml.EndElement:
			switch e.Name.Local {
			case "t":
				within = false
			case "rPh":
				phonetic--
			case "si":
				if err := s.add(out, []byte(plainString(string(text)))); err != nil {
					return err
				}
				text, phonetic = text[:0], 0
				limit.end = d.InputOffset() + maxRowXML
			}
		}
	}
}

// add writes one string: its length and its text.
func (s *sharedStrings) add(out *bufio.Writer, text []byte) error {
	if len(text) > maxText {
		return reason("the workbook has a text that is longer than a cell may be")
	}
	last := len(s.firsts) - 1
	if last < 0 || s.count-s.firsts[last] == blockCount || s.end-s.offsets[last] > blockSize {
		if len(s.firsts) == maxBlocks {
			return reason("the workbook has far too many texts")
		}
		s.firsts, s.offsets = append(s.firsts, s.count), append(s.offsets, s.end)
	}
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(len(text)))
	if _, err := out.Write(append(head[:n], text...)); err != nil {
		return fmt.Errorf("writing a temporary file: %w", err)
	}
	s.end += int64(n + len(text))
	s.count++
	return nil
}

func (s *sharedStrings) get(i int) (string, error) {
	if i < 0 || i >= s.count {
		return "", reason("the workbook is damaged: a cell names a shared string that is not there")
	}
	n := sort.SearchInts(s.firsts, i+1) - 1
	b := &s.cache[n%cachedBlocks]
	if b.number != n+1 {
		if err := s.load(b, n); err != nil {
			return "", err
		}
	}
	rest := b.raw
	for range i - s.firsts[n] {
		_, rest = cutText(rest)
	}
	text, _ := cutText(rest)
	return string(text), nil
}

// cutText takes one string off a block.
func cutText(raw []byte) (text, rest []byte) {
	size, n := binary.Uvarint(raw)
	end := n + int(size)
	return raw[n:end], raw[end:]
}

func (s *sharedStrings) load(b *block, n int) error {
	end := s.end
	if n+1 < len(s.offsets) {
		end = s.offsets[n+1]
	}
	b.number = 0
	b.raw = slices.Grow(b.raw[:0], int(end-s.offsets[n]))[:end-s.offsets[n]]
	if _, err := s.file.ReadAt(b.raw, s.offsets[n]); err != nil {
		return fmt.Errorf("reading a temporary file: %w", err)
	}
	b.number = n + 1
	return nil
}

func (s *sharedStrings) close() {
	if s != nil && s.opened {
		s.file.close()
		s.opened = false
	}
}
