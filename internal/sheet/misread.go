package sheet

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
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
	for _, e := range []struct {
		name string
		encoding.Encoding
		least int // bytes that each character must take: pairs of GB18030 pass for those of two
	}{
		{"windows-1252", charmap.Windows1252, 2},
		{gb18030, simplifiedchinese.GBK, 3},
	} {
		if raw, err := e.NewEncoder().String(text); err == nil && isUTF8Of(raw, e.least) {
			return e.name
		}
	}
	return ""
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
