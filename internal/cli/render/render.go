package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/camsq/camsq/internal/humanize"
)

// CountLine is a number and what it counts.
type CountLine struct {
	n    int64
	text string
}

// Count is a line that counts something.
func Count(n int64, text string) CountLine { return CountLine{n, text} }

// PrintCounts prints the lines that count something, numbers under numbers.
func PrintCounts(w io.Writer, lines []CountLine) {
	width := 0
	for _, l := range lines {
		width = max(width, len(humanize.Group(l.n)))
	}
	for _, l := range lines {
		if l.n != 0 {
			fmt.Fprintf(w, "  %*s  %s\n", width, humanize.Group(l.n), l.text)
		}
	}
}

// PrintTable prints rows under a header: the first columns to the left, the rest,
// which are numbers, to the right.
func PrintTable(w io.Writer, left int, rows [][]string) {
	width := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], humanize.Width(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-humanize.Width(cell))
			if i < left {
				line.WriteString(cell + pad + "  ")
			} else {
				line.WriteString(pad + cell + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// PrintJSON writes JSON for people and scripts alike.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
