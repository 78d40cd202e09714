package ledger_test

import (
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

func TestPrioritiesAreToldWithoutTheDataKey(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		insert(t, c, job("a"), urgent("b"), job("d"), urgent("e"))
		c.Set(t.Context(), prefix+"job:d", parts{"1", "urgent", "", "rubbish"}.String(), 0)
		c.Set(t.Context(), prefix+"job:e", parts{"2", "high", "", "rubbish"}.String(), 0)
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
		c.HSet(t.Context(), prefix+"job:hash", "priority", "high")
		if got, err := l.Priorities(t.Context(), account, []string{"hash", "b"}); err != nil || got[0] != "" || got[1] != "high" {
			t.Errorf("beside what is no record: %q, %v", got, err)
		}
	})
}
