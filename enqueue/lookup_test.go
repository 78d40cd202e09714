package enqueue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// Look tells what Create would, of new jobs and of those that are there, and leaves
// Redis as it was.
func TestLookupReturnsWhatCreateWouldAndWritesNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client, l := newClient(t, c, dataKey), newLedger(t, c)
		urgent := newJob("urgent")
		urgent.Priority = tasks.PriorityHigh
		elsewhere := newJob("queued")
		elsewhere.Account = "other"
		for _, j := range []tasks.Job{newJob("queued"), newJob("ended"), urgent, newJob("taken"), newJob("damaged"), elsewhere} {
			create(t, client, j, enqueue.StatusQueued)
		}
		ended, err := l.Get(t.Context(), newJob("ended").Ref())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Transition(t.Context(), ended, tasks.StepCancel, 0); err != nil {
			t.Fatal(err)
		}
		c.Append(t.Context(), ledger.JobKey(newJob("damaged").Ref()), "x")
		later := newJob("urgent") // with another priority it is the same job
		another := newJob("taken")
		another.Request.InstanceName = "another"
		invalid := newJob("bad")
		invalid.Request.ChannelType = "SMS"
		nameless := newJob("")
		jobs := []tasks.Job{newJob("new"), newJob("queued"), invalid, newJob("ended"), later, another, newJob("damaged"), elsewhere, nameless}

		keys := len(c.Keys(t.Context(), "*").Val())
		looked, err := client.Lookup(t.Context(), jobs)
		if err != nil {
			t.Fatal(err)
		}
		if after := len(c.Keys(t.Context(), "*").Val()); after != keys {
			t.Errorf("there were %d keys and are %d", keys, after)
		}
		mustWait(t, c, queue, "queued")
		var want []enqueue.Result
		for _, j := range jobs {
			r, _ := client.Create(t.Context(), j) // the result has the error
			want = append(want, r)
		}
		text := cmp.Transformer("text", func(err error) string {
			if err == nil {
				return ""
			}
			return err.Error()
		})
		if diff := cmp.Diff(want, looked, text); diff != "" {
			t.Errorf("(-Create +Look):\n%s", diff)
		}
	})
}

func TestLookupIsAnErrorWhileRedisDoesNotAnswer(t *testing.T) {
	m, c := redistest.Mini(t)
	client := newClient(t, c, dataKey)
	m.SetError("LOADING Redis is loading the dataset in memory")
	if got, err := client.Lookup(t.Context(), []tasks.Job{newJob("a")}); err == nil {
		t.Errorf("it told %+v", got)
	}
	if got, err := client.Lookup(t.Context(), nil); len(got) != 0 || err != nil {
		t.Errorf("of no jobs: %+v, %v", got, err)
	}
}
