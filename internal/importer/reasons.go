package importer

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"

	"github.com/camsq/camsq/enqueue/rowfile"
)

// Reasons counts invalid rows by what is wrong with them.
type Reasons map[string]Reason

// mostReasons bounds the number of reasons that are counted apart.
const mostReasons = 200

var quotedValue = regexp.MustCompile(`"[^"]*"`)

// count counts an invalid row once for each of its problems. Reasons that differ only in a
// quoted value are one.
func (r Reasons) count(at Position, err error) {
	bad, ok := errors.AsType[*rowfile.RowError](err)
	if !ok {
		bad = &rowfile.RowError{Problems: []rowfile.Problem{{Reason: err.Error()}}}
	}
	for _, p := range bad.Problems {
		key := quotedValue.ReplaceAllString(p.Reason, "…")
		if p.Column != "" {
			key = p.Column + ": " + key
		}
		known, ok := r[key]
		if !ok && len(r) >= mostReasons {
			key = "other reasons"
			known, ok = r[key]
		}
		if !ok {
			known = Reason{Text: key, First: at}
		}
		known.Rows++
		r[key] = known
	}
}

// Reason is why rows are invalid, how many, and the first of them.
type Reason struct {
	Text  string
	Rows  int64
	First Position
}

// Sorted returns the reasons, the most frequent first.
func (r Reasons) Sorted() []Reason {
	return slices.SortedFunc(maps.Values(r), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.First.Line, b.First.Line), cmp.Compare(a.Text, b.Text))
	})
}
