package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// table holds what was measured.
type table struct{ rows []row }

// row is one figure, or a few that belong together, of camsq and of what it is held
// against.
type row struct {
	part, measure, setting string
	camsq, beside          string
}

func (t *table) add(part, measure, setting, camsq, beside string) {
	t.rows = append(t.rows, row{part, measure, setting, camsq, beside})
}

// markdown is the table, its columns aligned so that it can be read as it is.
func (t *table) markdown() string {
	lines := [][]string{{"", "measured", "setting", "camsq", "beside it"}}
	for _, r := range t.rows {
		line := []string{r.part, r.measure, r.setting, r.camsq, r.beside}
		for i := range line {
			line[i] = strings.ReplaceAll(line[i], "|", `\|`)
		}
		lines = append(lines, line)
	}
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell), 3)
		}
	}
	var b strings.Builder
	write := func(line []string) {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %-*s ", width[i], cell)
		}
		b.WriteString("|\n")
	}
	write(lines[0])
	rule := make([]string, len(width))
	for i, w := range width {
		rule[i] = strings.Repeat("-", w)
	}
	write(rule)
	for _, line := range lines[1:] {
		write(line)
	}
	return b.String()
}

// percent writes a share, such as 0.0004 as "0.04 %".
func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// ms writes a time as milliseconds.
func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// seconds writes a time as seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// count writes a number with its thousands apart.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// several is "1 process" or "3 processes".
func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
