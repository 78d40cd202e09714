package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// countLine is a number and what it counts.
type countLine struct {
	n    int64
	text string
}

// count is a line that counts something.
func count(n int64, text string) countLine { return countLine{n, text} }

// printCounts prints the lines that count something, numbers under numbers.
func printCounts(w io.Writer, lines []countLine) {
	width := 0
	for _, l := range lines {
		width = max(width, len(thousands(l.n)))
	}
	for _, l := range lines {
		if l.n != 0 {
			fmt.Fprintf(w, "  %*s  %s\n", width, thousands(l.n), l.text)
		}
	}
}

// printTable prints rows under a header: the first columns to the left, the rest,
// which are numbers, to the right.
func printTable(w io.Writer, left int, rows [][]string) {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < left {
				line.WriteString(cell + pad + "  ")
			} else {
				line.WriteString(pad + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// encodeJSON writes JSON for people and scripts alike.
func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// plural is "1 job" or "1,000 jobs".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "ch") {
		one += "e"
	}
	return thousands(n) + " " + one + "s"
}

func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span is a time in the two units that matter: "35 s", "12 min", "3 h 20 min".
func span(d time.Duration) string {
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

// stamp is a point in time, and how long ago it was.
func stamp(at, now time.Time) string {
	return at.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + span(max(0, now.Sub(at))) + " ago)"
}

// plain makes text from elsewhere fit for one line of a terminal: it cannot move
// the cursor or break the line.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// word is an argument as a shell takes it.
func word(s string) string {
	safe := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:@=+,%", r)
	}
	if s != "" && !strings.HasPrefix(s, "-") && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
