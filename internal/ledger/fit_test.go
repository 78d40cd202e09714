package ledger

import (
	"testing"

	"github.com/camsq/camsq/internal/redistest"
)

// The versions that follow each other: who may come while others still run.
func TestVersionsFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		use            Use
		inUse          formats
		oldest, newest int
		fits           bool
	}{
		{"the next worker comes first", Working, formats{2, 2}, 2, 3, true},
		{"a status of the next version", Reading, formats{2, 2}, 2, 3, true},
		{"a producer before its workers", Producing, formats{2, 2}, 2, 3, false},
		{"an operator before the workers", Operating, formats{2, 2}, 2, 3, false},
		{"a producer after its workers", Producing, formats{2, 3}, 2, 3, true},
		{"an operator after the workers", Operating, formats{2, 3}, 2, 3, true},
		{"the last producer of the old version", Producing, formats{2, 3}, 1, 2, true},
		{"an old worker that starts again", Working, formats{2, 3}, 1, 2, false},
		{"an old operator", Operating, formats{2, 3}, 1, 2, false},
		{"an old status", Reading, formats{2, 3}, 1, 2, false},
		{"an old producer, of whose records none are left", Producing, formats{3, 3}, 1, 2, false},
		{"a producer two versions behind", Producing, formats{2, 4}, 1, 2, false},
		{"a worker that skips a version", Working, formats{2, 3}, 3, 4, false},
		{"a worker that skips a version, once the old records are gone", Working, formats{3, 3}, 3, 4, true},
	} {
		if err := tt.inUse.fit(tt.use, tt.oldest, tt.newest); (err == nil) != tt.fits {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// What raises the format in use, and what does not.
func TestAWorkerAloneRaisesTheFormat(t *testing.T) {
	_, c := redistest.Mini(t)
	for _, tt := range []struct {
		name           string
		oldest, newest int
		sealed, worker string
		want           formats
	}{
		{"the first process", 2, 3, "0", "0", formats{3, 3}},
		{"an older worker", 1, 2, "1", "1", formats{3, 3}},
		{"a newer producer", 3, 4, "1", "0", formats{3, 3}},
		{"a newer worker that cannot read what is there", 4, 5, "1", "1", formats{3, 3}},
		{"a newer worker", 3, 4, "1", "1", formats{3, 4}},
		{"the same again", 3, 4, "1", "1", formats{3, 4}},
		{"the one after it, too early", 4, 5, "1", "1", formats{3, 4}},
	} {
		reply, err := formatScript.Run(t.Context(), c, []string{formatKey}, tt.oldest, tt.newest, tt.sealed, tt.worker).StringSlice()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseFormats(reply); err != nil || got != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}
