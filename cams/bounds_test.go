package cams

import (
	"strings"
	"testing"
)

func TestOneLine(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain", "plain", 8, "plain"},
		{"control characters", " a\r\nb\tc\x1b[31m\u2028 ", 64, "a  b c [31m"},
		{"what cannot be seen, and what turns the text", "a\u200bb\u202ec\u00add\ufeff\u2066e\U000e0041", 64, "abcde"},
		{"too long", "123456789", 8, "12345678"},
		{"never half a character", "aéééé", 8, "aééé"},
		{"not UTF-8", "\xff", 8, "\uFFFD"},
	} {
		if got := oneLine(tt.in, tt.limit); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestReadableCode(t *testing.T) {
	private := []string{"Hauptstrasse", "a@b.example"}
	for code, want := range map[string]string{
		"":                       "",
		" ":                      "",
		"OK":                     "OK",
		"200":                    "200",
		"Throttling.User":        "Throttling.User",
		" isv.A_B-c \n":          "isv.A_B-c",
		"iot.x:Y":                "iot.x:Y",
		strings.Repeat("x", 128): strings.Repeat("x", 128),
		strings.Repeat("x", 129): CodeUnreadable,
		"Throttling User":        CodeUnreadable,
		"a@b.example":            CodeUnreadable,
		"Invalid.Hauptstrasse":   CodeUnreadable,
		"camsq.Cancelled":        CodeUnreadable,
		"CAMSQ.Cancelled":        CodeUnreadable,
		"A\x1b[31m":              CodeUnreadable,
		"<b>":                    CodeUnreadable,
		"Сode":                   CodeUnreadable, // its first letter is Cyrillic
	} {
		if got := readableCode(code, private); got != want {
			t.Errorf("%q: got %q, want %q", code, got, want)
		}
	}
}

func TestReadableIDs(t *testing.T) {
	for id, want := range map[string]string{
		"2999292": "2999292", "  cams-1 \n": "cams-1", "CAMS-1": "CAMS-1", "a:b_c.d": "a:b_c.d", strings.Repeat("9", 128): strings.Repeat("9", 128),
		"": "", " ": "", "NULL": "", "None": "", "-1": "", "cams 1": "", "cams\x001": "", "cams-1\x1b": "", "ü": "", "1/2": "",
		strings.Repeat("9", 129): "", strings.Repeat("9", 900_000): "",
	} {
		if got := readableID(id); got != want {
			t.Errorf("instance %.40q: got %q, want %q", id, got, want)
		}
	}
	for id, want := range map[string]string{
		"2D69A58F-345C-4FDE-88E4-BF5189484043": "2D69A58F-345C-4FDE-88E4-BF5189484043", " 0bc1a2 ": "0bc1a2",
		"2992939*****": "", "a@b.example": "", strings.Repeat("a", 65): "", "a b": "",
	} {
		if got := readableRequestID(id); got != want {
			t.Errorf("request %q: got %q, want %q", id, got, want)
		}
	}
}

func TestANameThatIsCutEqualsNoNameThatIsWhole(t *testing.T) {
	long := strings.Repeat("ü", 600)
	got := nameWithin(long)
	if len(got) > maxName+len("…") || got == long[:len(got)-len("…")] || !strings.HasSuffix(got, "…") {
		t.Errorf("got %d bytes", len(got))
	}
	for _, name := range []string{strings.Repeat("\U0001F600", 128), "ac\u200bme", " a\x00"} {
		if got := nameWithin(name); got != name {
			t.Errorf("got %q, want it as it was sent", got)
		}
	}
}

func TestMessageHidesWhatIsPrivateHoweverItIsHidden(t *testing.T) {
	private := []string{"a@b.example", "1 Long Street\nTown"}
	for in, want := range map[string]string{
		"to a@b.example":             "to REDACTED",
		"to a\u200b@b.exam\u00adple": "to REDACTED",
		"at 1 Long Street\nTown now": "at REDACTED now",
		strings.Repeat("x", 600):     strings.Repeat("x", 512),
	} {
		if got := message(in, private); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
