package spreadsheet

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"
)

// guess judges text that begins with a byte beyond ASCII and follows another. whole says that the text
// does not go on. It returns an encoding, or why there is none.
//
// Text that is UTF-8 throughout is UTF-8: other encodings do not come out like that
// by accident. A few damaged characters in much UTF-8 are damage, not another
// encoding. GB18030 takes nearly any pair of bytes for a character, so it must look
// like Chinese too, and what could be either is not guessed.
func guess(before byte, text []byte, whole bool) (string, error) {
	c := count(before, text, whole)
	switch {
	case c.high == c.inUTF8:
		return utf8Enc, nil
	case c.inUTF8*10 >= c.high*9 && c.high >= 20:
		return utf8Enc, nil
	case c.pairs == 0, c.unpaired > 0, c.western*2 >= c.pairs, !isGB18030(text, whole):
		return "", ambiguousEncoding("the text is neither UTF-8 nor GB18030; give the encoding, such as windows-1252, or " + saveAgain)
	case c.inUTF8*10 >= c.high*8, c.inLong*2 >= c.high:
		return "", ambiguousEncoding("the text could be damaged UTF-8 or GB18030; give the encoding, or " + saveAgain)
	}
	return gb18030, nil
}

// isGB18030 says whether every character stands for something.
func isGB18030(text []byte, whole bool) bool {
	d := simplifiedchinese.GB18030.NewDecoder()
	var out [4 << 10]byte
	for len(text) > 0 {
		n, read, err := d.Transform(out[:], text, whole)
		if bytes.Contains(out[:n], []byte("\ufffd")) {
			return false
		}
		if !errors.Is(err, transform.ErrShortDst) {
			return err == nil || errors.Is(err, transform.ErrShortSrc)
		}
		text = text[read:]
	}
	return true
}

// counts are what distinguishes encodings.
type counts struct {
	high           int // bytes beyond ASCII
	inUTF8, inLong int // of them, those in characters of UTF-8, and in such of three bytes or more
	// As GB18030: characters, those that look like letters with accents, and bytes
	// that belong to no character.
	pairs, western, unpaired int
}

func count(before byte, text []byte, whole bool) counts {
	var c counts
	c.countUTF8(text, whole)
	c.countGB18030(before, text, whole)
	return c
}

func (c *counts) countUTF8(text []byte, whole bool) {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			if !whole && !utf8.FullRune(text[i:]) {
				return // cut by the window's end
			}
			c.high++
		} else {
			c.high, c.inUTF8 = c.high+size, c.inUTF8+size
			if size > 2 {
				c.inLong += size
			}
		}
		i += size
	}
}

// countGB18030 takes a pair for Western whose second byte is a letter of ASCII (the
// first is a letter with an accent then, and the second follows it), and one that
// stands alone among letters (the ção of Portuguese).
func (c *counts) countGB18030(before byte, text []byte, whole bool) {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			before = text[i]
			i++
			continue
		}
		size := gbSize(text[i:])
		if size == 0 && !whole && len(text)-i < 4 {
			return // cut by the window's end
		}
		next := i + max(1, size)
		switch {
		case size == 0:
			c.unpaired++
		case size == 2 && isLetter(text[i+1]),
			size == 2 && isLetter(before) && next < len(text) && isLetter(text[next]):
			c.western++
			fallthrough
		default:
			c.pairs++
		}
		before, i = text[next-1]|0x80, next // the second byte of a pair is no letter by itself
	}
}

// gbSize is how many bytes the character of GB18030 takes that the text begins
// with; 0 if it is none.
func gbSize(text []byte) int {
	between := func(i int, low, high byte) bool { return i < len(text) && low <= text[i] && text[i] <= high }
	switch {
	case !between(0, 0x81, 0xfe):
		return 0
	case between(1, 0x40, 0x7e), between(1, 0x80, 0xfe):
		return 2
	case between(1, '0', '9') && between(2, 0x81, 0xfe) && between(3, '0', '9'):
		return 4
	}
	return 0
}
