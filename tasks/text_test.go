package tasks_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/camsq/camsq/tasks"
)

func named(name string) tasks.Job {
	return tasks.Job{Request: tasks.Request{ChannelType: "VIBER", InstanceName: name}}
}

// atTheDoor is what becomes of a name: the form in which it is kept, or why it is refused.
func atTheDoor(t *testing.T, name string) (kept, refused string) {
	t.Helper()
	job := named(name).Normalize()
	return job.Request.InstanceName, reasons(t, job.Validate(tasks.Rules{}))["InstanceName"]
}

func TestNamesThatLookTheSameAreOneJob(t *testing.T) {
	for _, tt := range []struct{ what, kept, typed string }{
		{"a zero width at the end", "acme", "acme\u200b"},
		{"a byte order mark in front", "acme", "\ufeffacme"},
		{"a mark of direction in front", "acme", "\u200eacme"},
		{"several kinds at both ends", "acme", "\u2067\u00a0 \u200facme\u3164\u2028\u00ad\t\u2800\u180e\U000e0001\ufffc"},
		{"a filler, and a variant of nothing", "acme", "\u115facme\ufe0f\U000e0101"},
		{"a private character, and one that is none", "acme", "acme\ue000\ufffe"},
		{"a composed letter", "Café Süd", "Cafe\u0301 Su\u0308d"},
		{"a singleton", "Å", "\u212b"},
		{"Hangul in parts", "한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"},
		{"two spaces", "Acme Support", "Acme  Support"},
		{"a space that does not break", "Acme Support", "Acme\u00a0Support"},
		{"an ideographic space", "株式会社 例", "株式会社\u3000例"},
		{"thin spaces", "Acme Support", "Acme\u2009\u202f\u205f Support"},
		{"a joiner that joins nothing", "acme", "acme\u200d"},
	} {
		got, refused := atTheDoor(t, tt.typed)
		if got != tt.kept || refused != "" {
			t.Errorf("%s: %q is kept as %q (%s), want %q", tt.what, tt.typed, got, refused, tt.kept)
		}
		if a, b := named(tt.typed).Normalize(), named(tt.kept).Normalize(); a.ID != b.ID {
			t.Errorf("%s: %q and %q are two jobs", tt.what, tt.typed, tt.kept)
		}
		if !tasks.SameName(tt.typed, tt.kept) {
			t.Errorf("%s: SameName(%q, %q) is false", tt.what, tt.typed, tt.kept)
		}
	}
	if tasks.SameName("Acme", "acme") {
		t.Error("names that differ in case can be told apart")
	}
}

func TestWhatCannotBeSeenIsRefusedInsideAName(t *testing.T) {
	const hidden = "which cannot be seen, as character 3; remove it"
	for r, why := range map[rune]string{
		0xad: hidden, 0x34f: hidden, 0x61c: hidden, 0x115f: hidden, 0x1160: hidden, 0x17b4: hidden, 0x180b: hidden, 0x180e: hidden,
		0x200b: hidden, 0x200c: hidden, 0x200d: hidden, 0x200e: hidden, 0x200f: hidden, 0x202a: hidden, 0x202e: hidden,
		0x2060: hidden, 0x2061: hidden, 0x2064: hidden, 0x2065: hidden, 0x2066: hidden, 0x2069: hidden, 0x206f: hidden,
		0x2800: hidden, 0x3164: hidden, 0xfe00: hidden, 0xfe0f: hidden, 0xfeff: hidden, 0xffa0: hidden, 0xfff0: hidden, 0xfff9: hidden, 0xfffc: hidden,
		0x13430: hidden, 0x1bca0: hidden, 0x1d159: hidden, 0x1d173: hidden, 0xe0001: hidden, 0xe0041: hidden, 0xe007f: hidden, 0xe0100: hidden, 0xe0fff: hidden,
		0x2028: "which ends a line, as character 3; remove it", 0x2029: "which ends a line, as character 3; remove it",
		0xe000:  "which is for private use and shows something else on each machine, as character 3; remove it",
		0xf8ff:  "which is for private use and shows something else on each machine, as character 3; remove it",
		0xfdd0:  "which is no character, as character 3; remove it",
		0x1fffe: "which is no character, as character 3; remove it",
	} {
		kept, refused := atTheDoor(t, "ac"+string(r)+"me")
		if want := "holds U+" + strings.ToUpper(hex(r)) + ", " + why; refused != want {
			t.Errorf("U+%04X is kept in %q: %q, want %q", r, kept, refused, want)
		}
	}
}

func hex(r rune) string {
	const digits = "0123456789abcdef"
	var s string
	for ; r > 0 || len(s) < 4; r /= 16 {
		s = digits[r%16:r%16+1] + s
	}
	return s
}

// Every character of the kinds that cannot be seen is refused between two letters,
// whichever Unicode adds to them.
func TestNoHiddenCharacterIsForgotten(t *testing.T) {
	kinds := []*unicode.RangeTable{
		unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
		unicode.Join_Control, unicode.Bidi_Control, unicode.Noncharacter_Code_Point,
	}
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !unicode.In(r, kinds...) || unicode.Is(unicode.Prepended_Concatenation_Mark, r) {
			continue
		}
		if r >= 0xf0100 && r%0x400 != 0 && r&0xfffe != 0xfffe {
			continue // private use goes on for two planes
		}
		if kept, refused := atTheDoor(t, "a"+string(r)+"b"); refused == "" {
			t.Errorf("U+%04X is kept in %q", r, kept)
		}
	}
}

func TestWhatAScriptOrAnEmojiNeedsIsKept(t *testing.T) {
	for what, name := range map[string]string{
		"Persian":                         "نامه\u200cها",
		"Persian with a vowel mark":       "مِ\u200cخواهم",
		"Hindi, joined":                   "क्\u200dष",
		"Hindi, apart":                    "क्\u200cष",
		"Marathi":                         "दर\u200d्यासारख्या",
		"Sinhala":                         "ශ්\u200dරී ලංකා",
		"Malayalam at the end of a word":  "അവന്\u200d",
		"Malayalam inside":                "അവന്\u200d കട",
		"Bengali":                         "র\u200d্যাব",
		"Mongolian variant":               "ᠭ\u180bᠠ",
		"Mongolian gap":                   "ᠬᠠᠷ\u180eᠠ",
		"a heart":                         "Shop ❤\ufe0f",
		"a heart as text":                 "Shop ❤\ufe0e!",
		"a family":                        "👨\u200d👩\u200d👧 shop",
		"a colour of skin":                "👩🏽\u200d⚕\ufe0f",
		"a flag of letters":               "🇩🇪 shop",
		"a flag of a region":              "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
		"a flag of a rainbow":             "🏳\ufe0f\u200d🌈 bar",
		"a keycap":                        "Shop 1\ufe0f\u20e3",
		"a number with its span in Arab.": "\u0600١٢",
	} {
		kept, refused := atTheDoor(t, name)
		if kept != name || refused != "" {
			t.Errorf("%s: %q is kept as %q: %s", what, name, kept, refused)
		}
	}
	for what, name := range map[string]string{
		"a joiner in Latin":               "ac\u200dme",
		"two joiners in Persian":          "نامه\u200c\u200cها",
		"a joiner before Latin":           "نامه\u200cme",
		"a zero width space in Persian":   "نامه\u200bها",
		"a joiner behind one emoji":       "👨\u200d shop",
		"an emoji's style behind a digit": "shop1\ufe0fx",
		"a keycap's style on a letter":    "a\ufe0f\u20e3x",
		"two styles":                      "❤\ufe0f\ufe0fx",
		"tags behind no flag":             "👨\U000e0067\U000e0062\U000e007fx",
		"tags without an end":             "🏴\U000e0067\U000e0062\U000e0065x",
		"a variant of a Han character":    "葛\U000e0100城",
		"a Mongolian variant in Latin":    "a\u180bb",
	} {
		if kept, refused := atTheDoor(t, name); refused == "" {
			t.Errorf("%s: %q is kept as %q", what, name, kept)
		}
	}
}

// Every text that a producer gives is held to the rule, since a hidden character does
// harm elsewhere too: an address to which nothing is delivered, a key that is not found.
func TestEveryTextIsHeldToTheRule(t *testing.T) {
	job := full()
	for name, f := range map[string]*string{
		"InstanceDescription": &job.Request.InstanceDescription, "ContactMail": &job.Request.ContactMail, "IsvTerms": &job.Request.IsvTerms,
		"OfficeAddress": &job.Request.OfficeAddress, "ResourceGroupId": &job.Request.ResourceGroupID, "FacebookBmId": &job.Request.FacebookBmID,
		"CountryId": &job.Request.CountryID, "callback_url": &job.CallbackURL, "job_id": &job.ID, "account": &job.Account,
	} {
		old := *f
		*f = "\u200b" + old + "\u00a0\ufeff"
		if got := job.Normalize(); got.Validate(tasks.Rules{}) != nil {
			t.Errorf("%s: hidden characters at its ends: %v", name, got.Validate(tasks.Rules{}))
		}
		*f = old[:2] + "\u200b" + old[2:]
		if got := reasons(t, job.Normalize().Validate(tasks.Rules{}))[name]; got == "" {
			t.Errorf("%s holds a hidden character", name)
		}
		*f = old
	}
	job.Request.ContactMail = "a\u00a0b@b.example"
	if got := reasons(t, job.Normalize().Validate(tasks.Rules{}))["ContactMail"]; got == "" {
		t.Error("ContactMail holds a space that looks like none")
	}
	job.Request.ContactMail = "a@b.example"
	job.Batch, job.Metadata = "a\u3164b", map[string]string{"crm_id": "42\ufeff"}
	want := map[string]string{
		"batch":           "holds U+3164, which cannot be seen, as character 2; remove it",
		"metadata.crm_id": "holds U+FEFF, which cannot be seen, as character 3; remove it",
	}
	if diff := cmp.Diff(want, reasons(t, job.Normalize().Validate(tasks.Rules{}))); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

func TestWordsForNothingAreNoNames(t *testing.T) {
	for _, name := range []string{
		"NULL", "null", "Null", `\N`, "nan", "NaN", "-nan", "nan(ind)", "None", "none", "nil", "<nil>", "undefined", "N/A", "n/a", "n.a.", "N / A", "NA", "NaT", "<NA>", "<na>",
		"(null)", "<null>", "[NULL]", `"null"`, "'None'", "(blank)", "(empty)", "<unset>", "(none)", `""`, "''", "()", "TBD", "not available", "inf", "-inf",
		"#N/D", "#Н/Д", "#I/T", "#ЗНАЧ!", "#VALORE!", "#VÆRDI!", "#DZIEL/0!", "#ODWOŁANIE!", "#BAŞV!", "#¿NOMBRE?", "#DĚLENÍ_NULOU!",
		"(leer)", "(vide)", "(en blanco)", "(vuoto)", "(пусто)", "(空白)", "（空白）",
		"#N/A", "#REF!", "#NAME?", "#BEZUG!", "#NV", "#####", "1.#QNAN", "[object Object]", "[object Undefined]", "null null", "undefined undefined", "None none NULL", "%!s(<nil>)",
		"-", "--", "—", "–", ".", "...", "…", "?", "???", "/", "_", "*", "!", "·", "“”",
		"{{name}}", "{{ customer.name }} shop", "${NAME}", "<%= name %>", "«Name»", "System.DBNull",
	} {
		if kept, refused := atTheDoor(t, name); refused == "" {
			t.Errorf("%q becomes an instance of the name %q", name, kept)
		}
	}
	for _, name := range []string{
		"Na", "na", "Nat", "Nothing", "Missing", "Empty", "Void", "Infinity", "Unknown", "Blank", "Nanette", "Nil Shop", "Noneck", "Nullify", "The Null", "NULL 2", "no", "N", "X", "0", "007",
		"TBC Bank", "C#", "A-1", "#1", "{a}", "100%", "R&D", "😀", "-acme-", "undefined.io", "none-of-it", "NA Foods", "true",
	} {
		if kept, refused := atTheDoor(t, name); kept != name || refused != "" {
			t.Errorf("%q is kept as %q: %s", name, kept, refused)
		}
	}
}

func TestAWordForNothingInAnOptionalFieldIsNothing(t *testing.T) {
	for _, word := range []string{`\N`, "NULL", "null", "None", "nan", "undefined", "N/A", "-", "--", "(null)", "<NA>", "...", " NULL\u200b"} {
		job := named("acme")
		for i, p := range tasks.Params() {
			if i >= 2 {
				*p.Field(&job.Request) = word
			}
		}
		got := job.Normalize()
		if want := named("acme").Normalize(); !cmp.Equal(got, want) || got.Validate(tasks.Rules{}) != nil {
			t.Errorf("%q: %+v: %v", word, got.Request, got.Validate(tasks.Rules{}))
		}
	}
	for field, value := range map[string]string{
		"CountryId": "NA", "InstanceDescription": "#REF!", "ContactMail": "#N/A", "OfficeAddress": "#VALUE!", "ResourceGroupId": "####",
	} {
		job := named("acme")
		for _, p := range tasks.Params() {
			if p.Name == field {
				*p.Field(&job.Request) = value
			}
		}
		if got := reasons(t, job.Normalize().Validate(tasks.Rules{})); got[field] == "" {
			t.Errorf("%s: %q is kept", field, value)
		}
	}
	job := named("acme")
	job.ID = "NULL"
	if got := reasons(t, job.Normalize().Validate(tasks.Rules{})); got["job_id"] == "" {
		t.Error("every row of a file may have the ID NULL")
	}
}

func TestRevealShowsWhatCannotBeSeen(t *testing.T) {
	for name, want := range map[string]string{
		"acme":                   `"acme"`,
		"Müller  & Söhne":        `"Müller  & Söhne"`,
		"acme\u200b":             `"acme\u200b"`,
		"Cafe\u0301":             `"Cafe\u0301"`,
		"a\u00a0b\"\\":           `"a\u00a0b\"\\"`,
		"a\x1b[31m\n":            `"a\x1b[31m\n"`,
		strings.Repeat("é", 500): `"` + strings.Repeat("é", 37) + `…"`,
	} {
		if got := tasks.Reveal(name, 40); got != want {
			t.Errorf("Reveal(%q) = %s, want %s", name, got, want)
		}
	}
}

// A row may be a long run of what cannot be seen.
func TestALongValueTakesNoLongerThanItIs(t *testing.T) {
	for _, part := range []string{"\u200d", "\u0301", "\ufe0f", "\U000e0061", "\u3000", "ब\u200d", "\\u005c", "NULL ", "&amp;"} {
		long := "a" + strings.Repeat(part, 1<<17/len(part))
		job := named(long).Normalize()
		if job.Validate(tasks.Rules{}) == nil && job.Request.InstanceName != "a" {
			t.Errorf("a long run of %q is a name", part)
		}
		_ = tasks.FoldName(long)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"", " ", "acme", "\u200b", "a\u200bb", "Cafe\u0301  x", "❤\ufe0f", "❤\ufe0f\ufe0f", "🏴\U000e0067\U000e0062\U000e007f\u200b", "അവന്\u200d\u200d", "\ufe0f❤", "\xff\u200b",
		"\u0340\u0341", "\u1112\u200b\u1161", "a\u0300\u200b\u0301", "1\ufe0f\u20e3", "\u3000\u3000a\u3000\u3000b", "NULL", "(NULL\u200b)", "\u2000\u2001a", "ᠭ\u180b\u180b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		job := tasks.Job{
			ID: text, Account: text, CallbackURL: text, Priority: tasks.Priority(text), Request: tasks.Request{
				ChannelType: text, InstanceName: text, InstanceDescription: text, OfficeAddress: text, ContactMail: text,
			},
		}
		once := job.Normalize()
		if diff := cmp.Diff(once, once.Normalize()); diff != "" {
			t.Errorf("normalising %q again changes it (-once +twice):\n%s", text, diff)
		}
		invalid := reasons(t, once.Validate(tasks.Rules{}))
		name := once.Request.InstanceName
		if invalid["InstanceName"] != "" {
			return
		}
		if !utf8.ValidString(name) || !norm.NFC.IsNormalString(name) || name == "" || strings.Contains(name, "  ") || strings.TrimSpace(name) != name {
			t.Errorf("%q is kept as %q", text, name)
		}
		if !strings.ContainsAny(name, "%&\\") && tasks.FoldName(name) == "" {
			t.Errorf("nothing is left of %q", name)
		}
	})
}
