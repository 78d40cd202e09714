package accounts

import (
	"testing"

	"github.com/camsq/camsq/internal/humanize"
)

func TestARateIsReadAndTold(t *testing.T) {
	for text, want := range map[string]struct {
		rate float64
		text string
	}{
		"8": {8, "8 a second"}, "8/s": {8, "8 a second"}, "2.5/s": {2.5, "2.5 a second"},
		"90/m": {1.5, "1.5 a second"}, "30/m": {0.5, "30 a minute"}, "18/h": {0.005, "18 an hour"}, "off": {0, "0 an hour"},
	} {
		got, err := parseLimit(text)
		if err != nil || got != want.rate || humanize.PerSecond(got) != want.text {
			t.Errorf("parseLimit(%q) = %v, %v, told as %q", text, got, err, humanize.PerSecond(got))
		}
	}
}
