package tasks

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CleanText returns a value as it is kept: composed (NFC), since the same letters may be
// written in two ways, and without what cannot be seen at its ends.
func CleanText(value string) string {
	if isASCII(value) {
		return strings.TrimSpace(value)
	}
	return trimText(norm.NFC.String(value))
}

// trimText is [CleanText] of a value whose characters stay as they are: an identifier, a URL.
func trimText(value string) string {
	switch {
	case isASCII(value):
		return strings.TrimSpace(value)
	case !utf8.ValidString(value):
		return strings.TrimFunc(value, isBlank) // [Job.Validate] refuses it
	case !mayBeUnclean(value):
		return value
	}
	return string(trimHidden([]rune(value)))
}

// mayBeUnclean says whether one of the ends is white space or hidden.
func mayBeUnclean(value string) bool {
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	return isBlank(first) || isBlank(last)
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || isHidden(r) }

// trimHidden drops white space and hidden characters at both ends. Behind an emoji, and in
// some scripts, a hidden character at the end has a use, and stays.
func trimHidden(text []rune) []rune {
	for len(text) > 0 && isBlank(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isBlank(text[len(text)-1]) && !endsWithUse(text) {
		text = text[:len(text)-1]
	}
	return text
}

// endsWithUse says whether the hidden characters at the end belong to what stands before.
func endsWithUse(text []rune) bool {
	for i := len(text) - 1; i > 0 && i >= len(text)-longestRun && isHidden(text[i]); i-- {
		if i+hiddenRun(text, i) == len(text) {
			return true
		}
	}
	return false
}

// cleanName is [CleanText] of a name, in which white space of any width is one plain
// space. Names that differ in nothing else look the same. What ends a line, and a tab,
// stays for [Job.Validate] to refuse: a cell that holds it holds more than a name.
func cleanName(value string) string {
	value = CleanText(value)
	if !hasOddSpace(value) {
		return value
	}
	var b strings.Builder
	space := false
	for _, r := range value {
		if !unicode.Is(unicode.Zs, r) {
			b.WriteRune(r)
		} else if !space {
			b.WriteByte(' ')
		}
		space = unicode.Is(unicode.Zs, r)
	}
	return b.String()
}

// hasOddSpace says whether white space stands in a value that is not one plain space.
func hasOddSpace(value string) bool {
	if strings.Contains(value, "  ") {
		return true
	}
	return !isASCII(value) && strings.ContainsFunc(value, func(r rune) bool { return r > ' ' && unicode.Is(unicode.Zs, r) })
}

// SameName says whether two names are kept as one: they differ in nothing that can be seen.
func SameName(a, b string) bool { return a == b || cleanName(a) == cleanName(b) }

// Reveal quotes a name so that everything in it shows: what cannot be seen, spaces of
// another kind than the plain one, and marks that are written on their own stand as
// escapes, "acme\\u200b". It is one line of at most so many characters.
func Reveal(name string, most int) string {
	var b strings.Builder
	b.WriteByte('"')
	n := 1
	for _, r := range name {
		part := string(r)
		switch {
		case r == '"' || r == '\\':
			part = `\` + part
		case r != ' ' && (!unicode.IsPrint(r) || isBlank(r) || unicode.Is(unicode.Mn, r)):
			part = strings.Trim(strconv.QuoteRuneToASCII(r), "'")
		}
		if n += utf8.RuneCountInString(part); n > most-2 {
			b.WriteString("…")
			break
		}
		b.WriteString(part)
	}
	b.WriteByte('"')
	return b.String()
}

// checkText refuses what no field may hold. U+FFFD is refused with invalid
// UTF-8, since decoders of JSON leave it in the place of what they could not read.
func checkText(value string, lines bool) string {
	if isPlain(value) {
		return ""
	}
	if !utf8.ValidString(value) || strings.ContainsRune(value, utf8.RuneError) {
		return "is not valid UTF-8; save the source as UTF-8"
	}
	for _, r := range value {
		switch {
		case r == '\n' && lines:
		case r == '\n', r == '\r':
			return "must be on one line"
		case unicode.IsControl(r):
			return "holds a control character; remove it"
		}
	}
	return checkHidden(value)
}

// isPlain says whether a value is printable ASCII, as most are.
func isPlain(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// mapASCII replaces the 26 ASCII letters that begin with from by those that begin with to.
// All other bytes stay, valid UTF-8 or not.
func mapASCII(s string, from, to byte) string {
	var b []byte
	for i := range len(s) {
		if c := s[i]; from <= c && c < from+26 {
			if b == nil {
				b = []byte(s)
			}
			b[i] = c - from + to
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}
