package ledger_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

func urgent(id string) tasks.Job {
	j := job(id)
	j.Priority = tasks.PriorityHigh
	return j
}

func TestAJobKeepsItsPriorityInEveryState(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		for _, s := range tasks.States() {
			for _, j := range []tasks.Job{job("normal-" + string(s)), urgent("high-" + string(s))} {
				written := place(t, c, l, j, s)
				read := get(t, l, j.ID)
				if written.Priority != j.Priority || read.Priority != j.Priority || read.State != s {
					t.Errorf("job %s was written as %q and read as %q", j.ID, written.Priority, read.Priority)
				}
			}
		}
	})
}

// A hash with a long value costs some 60 bytes for each field, and most jobs are normal.
func TestOnlyAJobOfHighPriorityHasTheField(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		insert(t, c, job("a"), urgent("b"))
		for id, want := range map[string][]string{"a": {"head", "request"}, "b": {"head", "priority", "request"}} {
			fields := c.HKeys(t.Context(), prefix+"job:"+id).Val()
			slices.Sort(fields)
			if diff := cmp.Diff(want, fields); diff != "" {
				t.Errorf("fields of %s (-want +got):\n%s", id, diff)
			}
		}
	})
}

func TestPrioritiesAreToldWithoutTheDataKey(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		insert(t, c, job("a"), urgent("b"), job("d"), urgent("e"))
		c.HSet(t.Context(), prefix+"job:d", "priority", "urgent", "request", "rubbish")
		c.HSet(t.Context(), prefix+"job:e", "head", "2", "request", "rubbish")
		l := withKeys(t, c, enqueue.NewDataKey())
		got, err := l.Priorities(t.Context(), account, []string{"a", "b", "none", "d", "e"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]tasks.Priority{"", "high", "", "", "high"}, got); diff != "" {
			t.Errorf("priorities (-want +got):\n%s", diff)
		}
		if got, err := l.Priorities(t.Context(), account, nil); len(got) != 0 || err != nil {
			t.Errorf("of no jobs: %q, %v", got, err)
		}
		c.Set(t.Context(), prefix+"job:string", "x", 0)
		if _, err := l.Priorities(t.Context(), account, []string{"none", "string"}); err == nil {
			t.Error("a record that is no hash has a priority")
		}
	})
}
