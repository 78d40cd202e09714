package humanize

import "testing"

func TestClipCountsColumns(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"acme", 4, "acme"},
		{"acme-shop", 5, "acme…"},
		{"北京分店", 8, "北京分店"},
		{"北京分店", 7, "北京分…"},
		{"北京分店", 6, "北京…"},
		{"cafe\u0301-bar", 5, "cafe\u0301…"},
		{"👩‍💻👩‍💻👩‍💻", 5, "👩‍💻👩‍💻…"},
		{"店", 1, "…"},
		{"", 0, ""},
	} {
		got := Clip(tt.in, tt.limit)
		if got != tt.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
		if Width(got) > max(tt.limit, 1) {
			t.Errorf("Clip(%q, %d) is %d columns wide", tt.in, tt.limit, Width(got))
		}
	}
}
