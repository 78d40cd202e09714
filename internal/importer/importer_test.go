package importer

import (
	"strconv"
	"strings"
	"testing"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// Of very many jobs nothing is kept but the counts of their batches.
func TestAnImportKeepsNoMoreJobsThanAreFollowed(t *testing.T) {
	in := New(strings.NewReader(""), nil)
	in.Follow = true
	in.Index.beginFile("f.csv")
	got := &Report{Known: inspect.StateCounts{}, Lanes: map[string]int64{}, Accounts: map[string]bool{}}
	for i := range inspect.MaxFollowed + 100 {
		in.record(got, i, "", enqueue.Result{Job: tasks.Job{ID: strconv.Itoa(i), Account: "default"}, Status: enqueue.StatusQueued})
	}
	if len(in.Jobs) != inspect.MaxFollowed+1 || in.Accepted != inspect.MaxFollowed+100 {
		t.Errorf("%d of %d jobs are kept", len(in.Jobs), in.Accepted)
	}
}
