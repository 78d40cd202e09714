package spreadsheet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// windowSize is how much text an encoding is judged by, from its first character
// that is not ASCII on.
const windowSize = 1 << 20

// The encodings that are detected, as messages name them.
const (
	ascii   = "ASCII"
	utf8Enc = "UTF-8"
	utf16le = "UTF-16LE"
	utf16be = "UTF-16BE"
	gb18030 = "GB18030"
)

// KnownEncoding returns the name under which an encoding is reported, for one of
// the names that the WHATWG Encoding Standard lists: utf-8, utf-16le, gb18030,
// gbk, big5, shift_jis, windows-1252 and others, in upper or lower case.
func KnownEncoding(name string) (string, bool) {
	_, known, err := lookUp(name)
	return known, err == nil
}

func lookUp(name string) (encoding.Encoding, string, error) {
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, "", fmt.Errorf("spreadsheet: encoding %q is not known", name)
	}
	known, err := htmlindex.Name(e)
	if err != nil || known == "replacement" || known == "x-user-defined" {
		return nil, "", fmt.Errorf("spreadsheet: encoding %q is not known", name)
	}
	switch known {
	case "utf-16le":
		e = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case "utf-16be":
		e = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case "gbk":
		e = simplifiedchinese.GB18030 // as the Standard decodes it: some programs call the one by the other's name
	}
	if strings.HasPrefix(known, "windows") {
		return e, known, nil
	}
	return e, strings.ToUpper(known), nil
}

var marks = []struct{ mark, encoding string }{
	{"\xef\xbb\xbf", utf8Enc},
	{"\xff\xfe", utf16le},
	{"\xfe\xff", utf16be},
	{"\x84\x31\x95\x33", gb18030},
}

// markOf returns the encoding whose mark a text begins with, or "".
func markOf(head []byte) string {
	for _, m := range marks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.encoding
		}
	}
	return ""
}

// utf16Sample is how much of the first line UTF-16 is known by.
const utf16Sample = 64

// unmarkedUTF16 recognises UTF-16 without a mark by what an ASCII header looks like in
// it. What follows the header says nothing: the 一 of Chinese has a zero of its own.
func unmarkedUTF16(head []byte) string {
	line := firstLine(head)
	line = line[:min(len(line), utf16Sample)]
	switch half := len(line) / 4; {
	case len(line) < 4:
	case asciiBeside(line, 1) > half:
		return utf16le
	case asciiBeside(line, 0) > half:
		return utf16be
	}
	return ""
}

// asciiBeside counts the characters of ASCII in UTF-16 whose zeros stand at that place
// of each two bytes. It is 0 if there are zeros elsewhere, or other bytes beside them.
func asciiBeside(line []byte, zero int) int {
	n := 0
	for i := 0; i+1 < len(line); i += 2 {
		switch high, low := line[i+zero], line[i+1-zero]; {
		case low == 0, high == 0 && low < ' ' && low != '\t' && low != '\r':
			return 0
		case high == 0 && low < utf8.RuneSelf:
			n++
		}
	}
	return n
}

// decoder turns text of any encoding into UTF-8.
//
// Without a mark and a name it decides late: ASCII is the same in every encoding
// it knows, so it goes through until the first other byte, and what follows that
// is judged by a whole window.
type decoder struct {
	in     *bufio.Reader
	report func(name string, guessed bool)
	// read is how the rest is read: asciiUntil, utf8Strictly, or a transformer's.
	read   func([]byte) (int, error)
	before byte // the last byte that went through
	// good is how many bytes more are to go through as they are; trusted is how many
	// are known to be damaged UTF-8 at worst.
	good, trusted int
	err           error
}

// newDecoder strips a mark. The error is a [*Error].
func newDecoder(in *bufio.Reader, name string, report func(name string, guessed bool)) (*decoder, error) {
	d := &decoder{in: in, report: report}
	head := peekLine(in)
	marked := markOf(head)
	if name != "" {
		_, known, err := lookUp(name)
		if err != nil {
			return nil, &Error{Line: 1, Reason: fmt.Sprintf("the encoding %q is not known; it may be utf-8, utf-16le, gb18030, big5, shift_jis, windows-1252 or another name of the WHATWG's list", clip(name))}
		}
		if same := known == "GBK" && marked == gb18030; marked != "" && marked != known && !same {
			return nil, &Error{Line: 1, Reason: fmt.Sprintf("the file begins with the mark of %s, but %s is given", marked, known)}
		}
		d.as(name)
	} else if marked != "" {
		d.as(marked)
	} else if u := unmarkedUTF16(head); u != "" {
		d.as(u)
	} else {
		report(ascii, false)
		d.read = d.asciiUntil
	}
	for _, m := range marks {
		if m.encoding == marked {
			_, _ = in.Discard(len(m.mark)) // cannot fail: it is in the buffer
		}
	}
	return d, nil
}

// as reads the rest in an encoding that is certain: what does not fit into it
// becomes U+FFFD, or stays as it is, and is the fault of its row.
func (d *decoder) as(name string) {
	e, known, err := lookUp(name)
	if err != nil {
		panic(err) // an encoding of this file, or one that was looked up before
	}
	d.report(known, false)
	d.read = d.in.Read
	if known != utf8Enc {
		d.read = transform.NewReader(d.in, e.NewDecoder()).Read
	}
}

func (d *decoder) Read(p []byte) (int, error) {
	for d.err == nil && len(p) > 0 {
		n, err := d.read(p)
		d.err = err
		if n > 0 {
			return n, nil // the error comes next time, after what is good
		}
	}
	return 0, d.err
}

// available returns what can be had without waiting, at least one byte.
func (d *decoder) available() ([]byte, error) {
	if _, err := d.in.Peek(1); err != nil {
		return nil, err
	}
	return d.in.Peek(d.in.Buffered())
}

func (d *decoder) pass(p, text []byte) (int, error) {
	n := copy(p, text)
	if n > 0 {
		d.before = p[n-1]
	}
	return d.in.Discard(n)
}

// asciiUntil passes ASCII on; at the first other byte it decides.
func (d *decoder) asciiUntil(p []byte) (int, error) {
	text, err := d.available()
	if err != nil {
		return 0, err
	}
	if n := asciiPrefix(text); n > 0 {
		return d.pass(p, text[:n])
	}
	window, whole := d.window()
	name, why := guess(d.before, window, whole)
	switch name {
	case utf8Enc:
		d.report(utf8Enc, false)
		d.trusted = len(window)
		d.read = d.utf8Strictly
	case gb18030:
		d.report(gb18030, true)
		r := transform.NewReader(d.in, simplifiedchinese.GB18030.NewDecoder())
		d.read = func(p []byte) (int, error) { return untilDamage(r, p) }
	default:
		return 0, why
	}
	return 0, nil
}

// window returns as much text as the judgement takes; whole says that no more follows.
func (d *decoder) window() ([]byte, bool) {
	window, err := d.in.Peek(windowSize)
	return window, errors.Is(err, io.EOF)
}

// utf8Strictly passes on what is UTF-8. A damaged character in text that is UTF-8
// for the rest goes through too: its row will be refused. Other text ends the file.
func (d *decoder) utf8Strictly(p []byte) (int, error) {
	if d.good == 0 {
		if err := d.judge(); err != nil {
			return 0, err
		}
	}
	text, err := d.in.Peek(min(d.good, len(p)))
	if err != nil {
		return 0, err
	}
	n, err := d.pass(p, text)
	d.good, d.trusted = d.good-n, d.trusted-n
	return n, err
}

// judge finds how many bytes may go through: whole characters, or one byte of a
// damaged one.
func (d *decoder) judge() error {
	text, err := d.available()
	if err != nil {
		return err
	}
	if !utf8.FullRune(text) {
		if text, err = d.in.Peek(utf8.UTFMax); len(text) == 0 {
			return err
		}
	}
	if d.good = validPrefix(text); d.good > 0 {
		return nil
	}
	if d.trusted <= 0 {
		window, whole := d.window() // text is not to be used after this
		if name, _ := guess(d.before, window, whole); name != utf8Enc {
			return ambiguousEncoding("from here on the text is not UTF-8, as it was before; what came before may have been misread: give the encoding, or " + saveAgain)
		}
		d.trusted = len(window)
	}
	d.good = 1
	return nil
}

// validPrefix returns how many bytes at the beginning are whole characters of UTF-8.
func validPrefix(text []byte) int {
	if utf8.Valid(text) {
		return len(text)
	}
	n := 0
	for n < len(text) {
		if text[n] < utf8.RuneSelf {
			n++
			continue
		}
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return n
}

// untilDamage reads until a character that could not be decoded.
func untilDamage(r io.Reader, p []byte) (int, error) {
	n, err := r.Read(p)
	if i := bytes.Index(p[:n], []byte("\ufffd")); i >= 0 {
		return i, ambiguousEncoding("from here on the text is not GB18030, as it was before; what came before may have been misread: give the encoding, or " + saveAgain)
	}
	return n, err
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

func asciiPrefix(text []byte) int {
	for i, b := range text {
		if b >= utf8.RuneSelf {
			return i
		}
	}
	return len(text)
}
