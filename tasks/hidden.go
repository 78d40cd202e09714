package tasks

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/rangetable"
)

// Some characters have no shape of their own: a reader sees the same name with them and
// without them, and the API may see two names. They are trimmed at the ends of a value,
// and refused inside it, except where a script or an emoji needs them (see [hiddenRun]).

// unseen are the characters without a shape that no table of package unicode lists:
// the blank braille pattern, a null notehead, and the mark that stands for an object
// that was left behind when text was copied.
var unseen = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}, {Lo: 0xfffc, Hi: 0xfffc, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}},
}

// hidden are whole kinds: formatting (zero width, soft hyphen, direction, tags), what
// fonts ignore (fillers, joiners), variants of the character before, ends of lines and
// paragraphs, and private use, which shows something else on each machine.
var hidden = rangetable.Merge(
	unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
	unicode.Zl, unicode.Zp, unicode.Co, unseen,
)

// isHidden says whether a character cannot be seen for itself. White space is not meant.
// The Arabic marks that span a number are of the same kind as zero widths, and are seen.
func isHidden(r rune) bool {
	if r < utf8.RuneSelf {
		return false
	}
	return isNoncharacter(r) || unicode.Is(hidden, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// isNoncharacter says whether a code point is none of a character for good.
func isNoncharacter(r rune) bool { return r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef }

// The hidden characters that have a use.
const (
	zwnj         = '\u200c'
	zwj          = '\u200d'
	textStyle    = '\ufe0e'
	emojiStyle   = '\ufe0f'
	keycap       = '\u20e3'
	blackFlag    = '\U0001f3f4'
	tagEnd       = '\U000e007f'
	mongolianGap = '\u180e'
)

// joining are the scripts whose letters join, or stand in clusters, so that a joiner or
// a non-joiner between two of them shows.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mandaic, unicode.Manichaean, unicode.Mongolian, unicode.Phags_Pa,
	unicode.Psalter_Pahlavi, unicode.Hanifi_Rohingya, unicode.Sogdian, unicode.Adlam, unicode.Chorasmian,
	unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
	unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Tibetan, unicode.Myanmar, unicode.Khmer, unicode.Limbu,
	unicode.Balinese, unicode.Javanese, unicode.Sundanese, unicode.Meetei_Mayek, unicode.Chakma, unicode.Newa,
	unicode.Grantha, unicode.Tirhuta, unicode.Kaithi, unicode.Sharada, unicode.Khojki, unicode.Khudawadi, unicode.Modi,
	unicode.Takri, unicode.Siddham, unicode.Brahmi, unicode.Syloti_Nagri, unicode.Saurashtra, unicode.Masaram_Gondi,
	unicode.Gunjala_Gondi, unicode.Dogra, unicode.Nandinagari,
}

// viramas end a consonant without its vowel. A joiner behind one makes another form of
// the consonant, at the end of a word too (the chillus of Malayalam).
var viramas = map[rune]bool{
	0x094d: true, 0x09cd: true, 0x0a4d: true, 0x0acd: true, 0x0b4d: true, 0x0bcd: true, 0x0c4d: true, 0x0ccd: true,
	0x0d4d: true, 0x0dca: true, 0x1039: true, 0x17d2: true, 0x1b44: true, 0xa9c0: true, 0x11046: true, 0x110b9: true,
}

// hiddenRun returns how many hidden characters at text[i] belong together and have a use
// there; 0 is a stray one:
//
//   - a joiner or non-joiner between two letters of scripts that need it, a joiner also
//     behind the sign that takes a vowel away;
//   - the variants and the gap of Mongolian behind its letters;
//   - behind an emoji the style of it, a joiner before another emoji, and in a flag of a
//     region its tags.
func hiddenRun(text []rune, i int) int {
	if i == 0 {
		return 0
	}
	before, after := text[i-1], rune(0)
	if i+1 < len(text) {
		after = text[i+1]
	}
	switch r := text[i]; {
	case r == zwj && (viramas[before] || isPictogram(base(text, i)) && isPictogram(after)):
		return 1
	case r == zwj, r == zwnj:
		return one(joins(text, i) && isLetterOf(after, joining...))
	case r == emojiStyle && after == keycap, r == textStyle && after == keycap:
		return one(before >= '0' && before <= '9' || before == '#' || before == '*')
	case r == emojiStyle, r == textStyle:
		return one(isPictogram(before))
	case r >= 0x180b && r <= mongolianGap, r == 0x180f:
		return one(isLetterOf(before, unicode.Mongolian) || before >= 0x180b && before <= 0x180d)
	case before == blackFlag:
		return regionTags(text[i:])
	}
	return 0
}

func one(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

// longestRun is how far back a hidden character may belong to another one; a flag has six
// tags and their end. A value may be long, and hold nothing else.
const longestRun = 8

// base is the character before text[i] behind which only a style or a colour of skin stands.
func base(text []rune, i int) rune {
	from := i
	for i--; i > 0 && from-i < longestRun && (text[i] == emojiStyle || text[i] >= 0x1f3fb && text[i] <= 0x1f3ff); i-- {
	}
	return text[i]
}

// joins says whether what stands before text[i] is a letter of a joining script, with
// any marks on it.
func joins(text []rune, i int) bool {
	from := i
	for i--; i > 0 && from-i < longestRun && unicode.Is(unicode.Inherited, text[i]); i-- {
		if isHidden(text[i]) {
			return false
		}
	}
	return isLetterOf(text[i], joining...)
}

// isLetterOf says whether r is a letter of the scripts, or a mark of their vowels.
func isLetterOf(r rune, scripts ...*unicode.RangeTable) bool {
	return unicode.In(r, unicode.L, unicode.M) && unicode.In(r, scripts...)
}

// regionTags returns how many tags at the beginning of text name a region, with their end.
func regionTags(text []rune) int {
	for n, r := range text {
		switch {
		case r == tagEnd && n >= 3 && n <= 6:
			return n + 1
		case !(r >= 0xe0030 && r <= 0xe0039 || r >= 0xe0061 && r <= 0xe007a):
			return 0
		}
	}
	return 0
}

// isPictogram says whether a character is Extended_Pictographic in Unicode's emoji data,
// with what is reserved for such characters.
func isPictogram(r rune) bool { return r >= 0xa9 && unicode.Is(pictograms, r) }

var pictograms = func() *unicode.RangeTable {
	table := new(unicode.RangeTable)
	for _, p := range [...][2]uint16{
		{0xa9, 0xa9}, {0xae, 0xae}, {0x203c, 0x203c}, {0x2049, 0x2049}, {0x2122, 0x2122}, {0x2139, 0x2139}, {0x2194, 0x2199},
		{0x21a9, 0x21aa}, {0x231a, 0x231b}, {0x2328, 0x2328}, {0x2388, 0x2388}, {0x23cf, 0x23cf}, {0x23e9, 0x23f3},
		{0x23f8, 0x23fa}, {0x24c2, 0x24c2}, {0x25aa, 0x25ab}, {0x25b6, 0x25b6}, {0x25c0, 0x25c0}, {0x25fb, 0x25fe},
		{0x2600, 0x2605}, {0x2607, 0x2612}, {0x2614, 0x2685}, {0x2690, 0x2705}, {0x2708, 0x2712}, {0x2714, 0x2714},
		{0x2716, 0x2716}, {0x271d, 0x271d}, {0x2721, 0x2721}, {0x2728, 0x2728}, {0x2733, 0x2734}, {0x2744, 0x2744},
		{0x2747, 0x2747}, {0x274c, 0x274c}, {0x274e, 0x274e}, {0x2753, 0x2755}, {0x2757, 0x2757}, {0x2763, 0x2767},
		{0x2795, 0x2797}, {0x27a1, 0x27a1}, {0x27b0, 0x27b0}, {0x27bf, 0x27bf}, {0x2934, 0x2935}, {0x2b05, 0x2b07},
		{0x2b1b, 0x2b1c}, {0x2b50, 0x2b50}, {0x2b55, 0x2b55}, {0x3030, 0x3030}, {0x303d, 0x303d}, {0x3297, 0x3297}, {0x3299, 0x3299},
	} {
		table.R16 = append(table.R16, unicode.Range16{Lo: p[0], Hi: p[1], Stride: 1})
	}
	table.LatinOffset = 2
	for _, p := range [...][2]uint32{
		{0x1f000, 0x1f0ff}, {0x1f10d, 0x1f10f}, {0x1f12f, 0x1f12f}, {0x1f16c, 0x1f171}, {0x1f17e, 0x1f17f}, {0x1f18e, 0x1f18e},
		{0x1f191, 0x1f19a}, {0x1f1ad, 0x1f1e5}, {0x1f201, 0x1f20f}, {0x1f21a, 0x1f21a}, {0x1f22f, 0x1f22f}, {0x1f232, 0x1f23a},
		{0x1f23c, 0x1f23f}, {0x1f249, 0x1f3fa}, {0x1f400, 0x1f53d}, {0x1f546, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f774, 0x1f77f},
		{0x1f7d5, 0x1f7ff}, {0x1f80c, 0x1f80f}, {0x1f848, 0x1f84f}, {0x1f85a, 0x1f85f}, {0x1f888, 0x1f88f}, {0x1f8ae, 0x1f8ff},
		{0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945}, {0x1f947, 0x1faff}, {0x1fc00, 0x1fffd},
	} {
		table.R32 = append(table.R32, unicode.Range32{Lo: p[0], Hi: p[1], Stride: 1})
	}
	return table
}()

// checkHidden refuses what cannot be seen, and says where it stands: the first character
// of a value is number 1.
func checkHidden(value string) string {
	if isASCII(value) || !strings.ContainsFunc(value, isHidden) {
		return ""
	}
	text := []rune(value)
	for i := 0; i < len(text); i++ {
		if !isHidden(text[i]) {
			continue
		}
		run := hiddenRun(text, i)
		if run == 0 {
			return fmt.Sprintf("holds U+%04X, which %s, as character %d; remove it", text[i], unseenBecause(text[i]), i+1)
		}
		i += run - 1
	}
	return ""
}

func unseenBecause(r rune) string {
	switch {
	case isNoncharacter(r):
		return "is no character"
	case unicode.Is(unicode.Co, r):
		return "is for private use and shows something else on each machine"
	case unicode.In(r, unicode.Zl, unicode.Zp):
		return "ends a line"
	}
	return "cannot be seen"
}

func isASCII(value string) bool {
	for i := range len(value) {
		if value[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
