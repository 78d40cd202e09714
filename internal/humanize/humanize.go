package humanize

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"
)

// Plural is "1 job" or "1,000 jobs".
func Plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "ch") {
		one += "e"
	}
	return Group(n) + " " + one + "s"
}

// Group is a number with its digits in groups of three: 1,234.
func Group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Duration is a time in the two units that matter: "35 s", "12 min", "3 h 20 min".
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than 1 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		hours := int(d.Hours())
		if minutes := int(d.Minutes()) - 60*hours; minutes > 0 {
			return fmt.Sprintf("%d h %d min", hours, minutes)
		}
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// Timestamp is a point in time, and how long ago it was.
func Timestamp(at, now time.Time) string {
	return at.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + Duration(max(0, now.Sub(at))) + " ago)"
}

// Sanitize makes text from elsewhere fit for one line of a terminal: it cannot move
// the cursor or break the line.
func Sanitize(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// ShellQuote is an argument as a shell takes it.
func ShellQuote(s string) string {
	safe := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:@=+,%", r)
	}
	if s != "" && !strings.HasPrefix(s, "-") && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Tries is "1 try" or "2 tries".
func Tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// Width is the number of terminal columns that s takes: a Chinese character takes two, a
// combining accent none.
func Width(s string) int { return uniseg.StringWidth(s) }

// Clip shortens s to at most n columns, the last of which is then an ellipsis.
func Clip(s string, n int) string {
	if Width(s) <= n {
		return s
	}
	end, width := 0, 0
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if width += g.Width(); width > n-1 {
			break
		}
		_, end = g.Positions()
	}
	return s[:end] + "…"
}

// Because is an operator's reason, to stand behind what it explains.
func Because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + Sanitize(why)
}

// Counted is "1 job comes" or "2 jobs come".
func Counted(n int64, one, does, do string) string {
	if n == 1 {
		return Plural(n, one) + " " + does
	}
	return Plural(n, one) + " " + do
}

// PerSecond formats a rate in the unit in which it reads best.
func PerSecond(rate float64) string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	round := func(f float64) float64 { r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'g', 3, 64), 64); return r }
	switch {
	case rate >= 1:
		return number(round(rate)) + " a second"
	case rate*60 >= 1:
		return number(round(rate*60)) + " a minute"
	}
	return number(round(rate*3600)) + " an hour"
}

// Or is s, or other if s is empty.
func Or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// OneLine is an error's text in one line.
func OneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
