package tasks

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"testing"
)

// What is done by hand for speed does what the plain way does.
func FuzzTheQuickWayDoesWhatThePlainOneDoes(f *testing.F) {
	for _, seed := range []string{
		"", "a", "A", "_", "acme", "a-b_c", "job_abc", "a:b@c/d=e+f", ".a", "a.", "-", "0", "123456", "1234567", "+65", "1E+5", "3.93993E+08",
		"owner@example.com", "a@b", "@", "a@", "@b", "a.b@c.d", "a..b@c", ".a@b", "a.@b", "a@b.", "a@b@c", `"a b"@c`, "<a@b>", "A <a@b>", "a@[1.2.3.4]", "ü@b", "a@ü",
		"a b@c", "a@b (c)", " a@b", "a@b\n", "x\u00a0y", "tab\t", "bell\a", "line\nline", "cr\r", "\xff", "\ufffd", "日本", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 128), strings.Repeat("a", 129),
	} {
		f.Add(seed)
	}
	account := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	id := regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@/=+-]{0,127}$`)
	key := regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)
	country := regexp.MustCompile(`^[0-9]{1,6}$`)
	f.Fuzz(func(t *testing.T, text string) {
		for what, got := range map[string][2]bool{
			"ValidAccount":     {ValidAccount(text), account.MatchString(text)},
			"validID":          {validID(text), id.MatchString(text)},
			"ValidMetadataKey": {ValidMetadataKey(text), key.MatchString(text)},
			"isRounded":        {isRounded(text), roundedRule.MatchString(text)},
			"checkDigits":      {text == "" || checkDigits(text, 6, "no") == "", text == "" || country.MatchString(text)},
			"isDotAtoms":       {isDotAtoms(text) && !isAddress(text), false},
			"isPlain":          {isPlain(text) && checkSlowly(text) != "", false},
		} {
			if got[0] != got[1] {
				t.Errorf("%s(%q): %v, want %v", what, text, got[0], got[1])
			}
		}
		h := sha256.New()
		fmt.Fprintf(h, "%d:%s%d:%s", len(text), text, 1, "x")
		if want := strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:16])[:26]); digest(text, "x") != want {
			t.Errorf("digest(%q): %s, want %s", text, digest(text, "x"), want)
		}
	})
}

func isAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}

// checkSlowly looks at each character, whatever the value.
func checkSlowly(text string) string { return checkText(text+"é", false) }

func TestFieldsAreInTheOrderOfTheParameters(t *testing.T) {
	var r Request
	for i, f := range r.fields() {
		if f != params[i].Field(&r) {
			t.Errorf("field %d is not %s", i, params[i].Name)
		}
	}
}
