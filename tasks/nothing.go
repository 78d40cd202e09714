package tasks

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Where there was no value, programs leave a word: a database NULL, Python None and nan,
// JavaScript undefined, a spreadsheet #N/A, a template its own placeholder. As a name it
// would become an instance.

// nothings are those words in lower case, without white space. What is a plausible name
// of a company stays out of it: Nothing, Missing, Empty, Void, Infinity, Unknown.
var nothings = wordSet(
	"null", "nil", "none", "nan", "-nan", "+nan", "nan(ind)", "-nan(ind)", "undef", "undefined", "nullptr", "dbnull", "system.dbnull", "dbnull.value",
	"n/a", `n\a`, "n.a.", "n.a", "n/d", "notavailable", "notapplicable", "notset", "novalue", "nodata", "tbd", "inf", "-inf", "+inf", "-infinity",
	`\n`, "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "1.#inf", "-1.#inf", "%!s(<nil>)", "%!v(<nil>)", "objectobject",
)

// bracketed are words that mean nothing only between brackets or quotation marks, as
// pivot tables and database tools write them: (blank), <unset>, [null], "".
// The words of other languages are those that Excel's pivot tables write.
var bracketed = wordSet("", "na", "nat", "blank", "empty", "unset", "missing", "unknown", "void",
	"leer", "vide", "vuoto", "enblanco", "vacías", "vacío", "vazio", "embranco", "leeg", "пусто", "空白", "空")

// exactly are those whose case tells them from a name: R and pandas write NA and NaT.
var exactly = map[string]bool{"NA": true, "NaT": true}

// sheetErrors are what spreadsheets write for a formula that failed.
var sheetErrors = wordSet(
	"#n/a", "#na", "#n/an/a", "#ref!", "#name?", "#value!", "#div/0!", "#null!", "#num!", "#spill!", "#calc!", "#getting_data", "#field!",
	"#blocked!", "#connect!", "#busy!", "#unknown!", "#error!", "#external!", "#python!", "#bezug!", "#nv", "#wert!", "#zahl!", "#nom?", "#valeur!",
	"#nombre!", "#nombre?", "#¡ref!", "#¿nombre?", "#¡valor!", "#¡div/0!", "#¡num!",
)

// words is a set of words in lower case, without white space.
type words map[string]bool

func wordSet(all ...string) words {
	set := make(words, len(all))
	for _, w := range all {
		set[w] = true
	}
	return set
}

// maxWord is longer than any of them.
const maxWord = 20

// has says whether a value is one of the words, in any case and with any white space.
func (w words) has(value string) bool {
	var word [maxWord]byte
	n := 0
	for i := range len(value) {
		c := value[i]
		switch {
		case c == ' ':
			continue
		case n == len(word):
			return false
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		word[n] = c
		n++
	}
	return w[string(word[:n])]
}

// maxNothing is longer than any of the words, with brackets around each and one beside
// the other.
const maxNothing = 64

// isNothing says whether a value is a word for nothing, or some of them ("null null" is
// what a program makes of a first and a last name).
func isNothing(value string) bool {
	if value == "" || len(value) > maxNothing || !mayBeNothing[value[0]] || isLetter[value[0]] && !nothingBytes.all(value) {
		return false
	}
	if nothings.has(value) || exactly[value] {
		return true
	}
	if core, ok := unwrap(value); ok && (isNothing(core) || bracketed.has(core) || strings.HasPrefix(core, "object ")) {
		return true
	}
	first, rest, several := strings.Cut(value, " ")
	return several && isNothing(first) && isNothing(strings.TrimLeft(rest, " "))
}

// mayBeNothing are the bytes with which the words begin: most names need no second look.
var mayBeNothing = bytesOf("nNuUdDsStTiIoO-+1%\\" + `"'` + "`([{<\xe2\xc2\xef")

// isLetter are the letters among them. A word that begins with one has no other bytes than
// nothingBytes, so that most names with a digit or a hyphen need no second look either.
var (
	isLetter     = bytesOf(letters)
	nothingBytes = bytesOf(letters + " ./\\()")
)

// isDash says whether a value is the strokes or dots that people put where there is nothing.
func isDash(value string) bool {
	return value != "" && !letterOrDigit[value[0]] && strings.Trim(value, "-–—_.…?/* ") == ""
}

// isSheetError says whether a value is what a formula left that failed.
func isSheetError(value string) bool {
	if value == "" || value[0] != '#' || len(value) > maxNothing {
		return false
	}
	return sheetErrors.has(value) || len(value) > 1 && strings.Trim(value, "#") == "" || isForeignError(value[1:])
}

// isForeignError says whether what stands behind a # is an error's name in any language of
// a spreadsheet: one word in capitals that ends in ! or ? (#VALORE!, #ЗНАЧ!, #DZIEL/0!), or
// two letters with a slash between them (#N/D, #Н/Д).
func isForeignError(name string) bool {
	first, second, _ := strings.Cut(name, "/")
	if utf8.RuneCountInString(first) == 1 && utf8.RuneCountInString(second) == 1 {
		return isCapitals(first + second)
	}
	word := strings.TrimRight(name, "!?")
	return word != name && utf8.RuneCountInString(word) >= 2 && isCapitals(strings.Trim(word, "¡¿"))
}

// isCapitals says whether a word has capital letters, and nothing else but /, _ and 0.
func isCapitals(word string) bool {
	return strings.ContainsFunc(word, unicode.IsUpper) &&
		!strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsUpper(r) && r != '/' && r != '_' && r != '0' })
}

// unwrap takes a pair of quotation marks or brackets away.
func unwrap(value string) (core string, ok bool) {
	for _, pair := range [...][2]string{
		{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"(", ")"}, {"[", "]"}, {"{", "}"}, {"<", ">"}, {"“", "”"}, {"‘", "’"}, {"«", "»"}, {"（", "）"},
	} {
		if rest, begins := strings.CutPrefix(value, pair[0]); begins {
			if core, ends := strings.CutSuffix(rest, pair[1]); ends {
				return strings.TrimSpace(core), true
			}
		}
	}
	return value, false
}

// isUnfilled says whether a template has left its placeholder in a value.
func isUnfilled(value string) bool {
	if strings.IndexByte(value, '{') < 0 && strings.IndexByte(value, '<') < 0 && !strings.HasPrefix(value, "«") {
		return false
	}
	for _, pair := range [...][2]string{{"{{", "}}"}, {"${", "}"}, {"<%", "%>"}, {"{%", "%}"}} {
		if _, rest, begins := strings.Cut(value, pair[0]); begins && strings.Contains(rest, pair[1]) {
			return true
		}
	}
	return strings.HasPrefix(value, "«") && strings.HasSuffix(value, "»")
}

// saysNothing says whether a value has nothing that can be read: no letter, no digit and
// no symbol such as an emoji.
func saysNothing(value string) bool {
	for _, r := range value {
		if r < utf8.RuneSelf && letterOrDigit[r] || unicode.In(r, unicode.L, unicode.N, unicode.So) {
			return false
		}
	}
	return true
}

// checkNothing refuses a name that is none.
func checkNothing(value string) string {
	const put = "; put the name there, or leave the row out"
	switch {
	case isUnfilled(value):
		return "holds a placeholder that a template has not filled" + put
	case isNothing(value):
		return "is a word for nothing, as a program leaves it" + put
	case saysNothing(value):
		return "has no letter and no digit" + put
	}
	return ""
}
