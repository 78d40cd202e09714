package tasks_test

import (
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/camsq/camsq/tasks"
)

// However a system stores a name, it has the key of the name.
func TestAFoldedNameIsTheSameHoweverItIsStored(t *testing.T) {
	for _, tt := range []struct{ name, stored string }{
		{"Acme Support", "acme support"}, {"Acme Support", "ACME SUPPORT"}, {"Acme Support", "AcmeSupport"}, {"Acme Support", "Acme  Support "},
		{"Acme Support", "Acme\u00a0Support\u200b"}, {"Café Süd", "Cafe\u0301 Su\u0308d"}, {"Straße", "STRASSE"}, {"Straße", "strasse"}, {"ΣΟΦΟΣ", "σοφος"}, {"σοφός", "ΣΟΦΌΣ"},
		{"İstanbul", "istanbul"}, {"İstanbul", "i\u0307stanbul"}, {"ırmak", "IRMAK"}, {"ﬁne", "fine"}, {"ＡＣＭＥ", "acme"}, {"ｱｸﾒ", "アクメ"}, {"①", "1"}, {"❤\ufe0f", "❤"},
		{"R&D", "R&amp;D"}, {"R&D", "R&#38;D"}, {"R&D", "R&#x26;D"}, {"R&D", "R&amp;amp;D"}, {"a<b>", "a&lt;b&gt;"}, {`"x"`, "&quot;x&quot;"}, {"O'Neil", "O&#39;Neil"}, {"O'Neil", `O\'Neil`},
		{"a b", "a%20b"}, {"a b", "a%2520b"}, {"Müller", "M%C3%BCller"}, {"Müller", `M\u00fcller`}, {"Müller", "M&uuml;ller"}, {"a/b", `a\/b`}, {`"x"`, `\"x\"`}, {"😀", `\ud83d\ude00`}, {"😀", "&#128512;"},
		{"100% Pure", "100% pure"}, {"AT&T", "at&t"}, {`C:\x`, `c:\X`},
	} {
		if a, b := tasks.FoldName(tt.name), tasks.FoldName(tt.stored); a != b {
			t.Errorf("%q has the key %q, and stored as %q it has %q", tt.name, a, tt.stored, b)
		}
	}
	for _, tt := range []struct{ a, b string }{
		{"acme", "acme2"}, {"acme", "acm"}, {"Café", "Cafe"}, {"a-b", "ab"}, {"a.b", "ab"}, {"C", "C+"}, {"R&D", "RD"}, {"100%", "100"}, {`a\b`, "ab"}, {"日本", "日木"},
	} {
		if tasks.FoldName(tt.a) == tasks.FoldName(tt.b) {
			t.Errorf("%q and %q have one key, %q", tt.a, tt.b, tasks.FoldName(tt.a))
		}
	}
}

func TestJobsWhoseNamesMayBeStoredAlikeDoNotOverlap(t *testing.T) {
	key := func(channel, name string) string {
		return tasks.Request{ChannelType: channel, InstanceName: name}.NameKey()
	}
	if key("VIBER", "Acme") != key("VIBER", "acme") || key("VIBER", "Acme Süd") != key("VIBER", "acmesüd") {
		t.Error("names that an API may store alike have keys of their own")
	}
	if key("VIBER", "acme") == key("WHATSAPP", "acme") || key("VIBER", "acme") == key("VIBER", "acme2") {
		t.Error("two names have one key")
	}
	if tasks.NameKey("viber", "ACME ") != key("VIBER", "Acme") {
		t.Error("an instance that the API lists has another key than its job")
	}
}

func FuzzFoldName(f *testing.F) {
	for _, seed := range []string{"", "acme", "Acme  Süd", "&amp;amp;lt;", "%25%32%30", `\\u0041`, `\ud800`, "\xff%ff", "İi̇ıI", "&#0;", "ﬀ&#xfb00;", "a&nbsp;b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if len(name) > 2000 {
			return
		}
		key := tasks.FoldName(name)
		for what, stored := range map[string]string{"a space at the end": name + " ", "a zero width in front": "\u200b" + name, "composed": norm.NFC.String(name), "apart": norm.NFD.String(name)} {
			if strings.ContainsAny(name, "%&\\") {
				break // an escape may end there
			}
			if got := tasks.FoldName(stored); got != key {
				t.Errorf("%s: %q has the key %q, and %q has %q", what, name, key, stored, got)
			}
		}
	})
}
