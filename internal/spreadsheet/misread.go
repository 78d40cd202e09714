package spreadsheet

import (
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// Misread returns the encoding in which some program seems to have read a text that
// was UTF-8, or "": CafÃ© was Café before a spreadsheet opened it as windows-1252
// and saved it. It is what undoing the mistake shows: bytes of the other encoding
// that are UTF-8 throughout do not come about by accident.
func Misread(text string) string {
	if isASCII(text) {
		return ""
	}
	if isUTF8Of(asWindows1252(text), 2) {
		return "windows-1252"
	}
	// Pairs of GB18030 pass for UTF-8 of two bytes, so it takes three.
	if raw, err := simplifiedchinese.GBK.NewEncoder().String(text); err == nil && isUTF8Of(raw, 3) {
		return gb18030
	}
	return ""
}

// asWindows1252 returns the bytes of a text in windows-1252, in which programs read
// the five bytes that stand for nothing as control characters; "\xff" if it has none.
func asWindows1252(text string) string {
	var out []byte
	for _, r := range text {
		b, ok := charmap.Windows1252.EncodeRune(r)
		if !ok && r > 0xff {
			return "\xff"
		}
		if !ok {
			b = byte(r)
		}
		out = append(out, b)
	}
	return string(out)
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isUTF8Of says whether text is UTF-8 whose characters beyond ASCII take so many
// bytes at least.
func isUTF8Of(text string, least int) bool {
	for _, r := range text {
		if r >= utf8.RuneSelf && (r == utf8.RuneError || utf8.RuneLen(r) < least) {
			return false
		}
	}
	return true
}
