package tasks

import (
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// mostEscapes is how many times over a name may have been escaped.
const mostEscapes = 5

// FoldName returns a key that is the same for all forms in which a system may store one
// name: in lower or upper case, with white space trimmed, collapsed or dropped, without
// what cannot be seen, in any form of Unicode (full width, ligatures, parts on their own),
// or escaped for HTML, a URL or JSON. Names with the same key need not be the same: an
// API that returns one for the other leaves a doubt that only an operator can end.
func FoldName(name string) string {
	if isFolded(name) {
		return name
	}
	name = strings.ToValidUTF8(name, "\ufffd")
	for range mostEscapes {
		plain := unescape(name)
		if plain == name {
			break
		}
		name = plain
	}
	name = norm.NFKC.String(name)
	var b strings.Builder
	last := rune(0)
	for _, r := range name {
		if isBlank(r) || unicode.IsControl(r) {
			continue
		}
		// By way of the upper case, which joins the letters that have two lower cases. The
		// dot of a Turkish capital I is lost in some lower cases and a mark in others.
		r = unicode.ToLower(unicode.ToUpper(r))
		switch {
		case r == 'ß':
			b.WriteString("ss")
		case r == '\u0307' && last == 'i':
		default:
			b.WriteRune(r)
		}
		last = r
	}
	return norm.NFKC.String(b.String())
}

// isFolded says whether a name is its own key, as plain ones are.
func isFolded(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ', c >= 0x7f, 'A' <= c && c <= 'Z', c == '%', c == '&', c == '\\':
			return false
		}
	}
	return true
}

// unescape undoes one round of the escapes of HTML, of URLs and of JSON.
func unescape(name string) string {
	if strings.Contains(name, "&") {
		name = html.UnescapeString(name)
	}
	if strings.Contains(name, "%") {
		name = unescapePercent(name)
	}
	if strings.Contains(name, `\`) {
		name = unescapeJSON(name)
	}
	return name
}

// unescapePercent leaves a percent sign alone that begins no escape.
func unescapePercent(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+3 <= len(name) {
			if c, err := url.PathUnescape(name[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(name[i])
	}
	if plain := b.String(); utf8.ValidString(plain) {
		return plain
	}
	return name
}

// unescapeJSON leaves a backslash alone that begins no escape. A pair of surrogates is
// one character.
func unescapeJSON(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		if name[0] == '\\' && len(name) > 1 {
			if strings.IndexByte(`"\/'`, name[1]) >= 0 {
				b.WriteByte(name[1])
				name = name[2:]
				continue
			}
			if r, _, tail, err := strconv.UnquoteChar(surrogates(name), '"'); err == nil {
				b.WriteRune(r)
				name = tail
				continue
			}
		}
		b.WriteByte(name[0])
		name = name[1:]
	}
	return b.String()
}

// surrogates writes a pair of surrogates at the beginning as the one escape that it is.
func surrogates(name string) string {
	if len(name) < 12 || name[:2] != `\u` || name[6:8] != `\u` {
		return name
	}
	high, err1 := strconv.ParseUint(name[2:6], 16, 32)
	low, err2 := strconv.ParseUint(name[8:12], 16, 32)
	if err1 != nil || err2 != nil || high < 0xd800 || high > 0xdbff || low < 0xdc00 || low > 0xdfff {
		return name
	}
	r := 0x10000 + (high-0xd800)<<10 + (low - 0xdc00)
	return `\U` + strconv.FormatUint(1<<32+r, 16)[1:] + name[12:]
}
