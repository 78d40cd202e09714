package importer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/humanize"
)

// reasons counts bad rows by what is wrong with them.
type reasons map[string]*reasonCount

type reasonCount struct {
	n     int64
	first Position
}

// mostReasons bounds how many are told apart.
const mostReasons = 200

var quotedValue = regexp.MustCompile(`"[^"]*"`)

// count takes note of a bad row. A row with several faults counts for each. Reasons
// that differ in the value they repeat are one.
func (r reasons) count(at Position, err error) {
	bad, ok := errors.AsType[*rowfile.RowError](err)
	if !ok {
		bad = &rowfile.RowError{Problems: []rowfile.Problem{{Reason: err.Error()}}}
	}
	for _, p := range bad.Problems {
		key := quotedValue.ReplaceAllString(p.Reason, "…")
		if p.Column != "" {
			key = p.Column + ": " + key
		}
		if r[key] == nil && len(r) >= mostReasons {
			key = "other reasons"
		}
		if r[key] == nil {
			r[key] = &reasonCount{first: at}
		}
		r[key].n++
	}
}

// print lists them, the most frequent first, each with the place where it is first.
func (r reasons) print(w io.Writer) {
	keys := slices.SortedFunc(maps.Keys(r), func(a, b string) int {
		return cmp.Or(cmp.Compare(r[b].n, r[a].n), cmp.Compare(r[a].first.Line, r[b].first.Line), cmp.Compare(a, b))
	})
	width := 0
	for _, k := range keys {
		width = max(width, len(humanize.Group(r[k].n)))
	}
	fmt.Fprintln(w, "  Bad rows by reason, and where each is first:")
	for _, k := range keys {
		fmt.Fprintf(w, "    %*s  line %d: %s\n", width, humanize.Group(r[k].n), r[k].first.Line, humanize.Sanitize(k))
	}
}
