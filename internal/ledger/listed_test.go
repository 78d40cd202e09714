package ledger_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// An operator works a list off while others do the same, and jobs fail again.
func TestAListHoldsEachJobOnceThoughJobsLeaveAndReturn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		const n = 3500
		failed := prefix + "state:failed"
		var all []redis.Z
		for i := range n {
			// 1,500 of one millisecond: more than a page
			all = append(all, redis.Z{Score: float64(min(i, 1500)), Member: strconv.Itoa(i)})
		}
		if err := c.ZAdd(t.Context(), failed, all...).Err(); err != nil {
			t.Fatal(err)
		}
		seen, pages := map[string]int{}, 0
		for ids, err := range l.Listed(t.Context(), account, ledger.StateList(tasks.StateFailed)) {
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for i, id := range ids {
				seen[id]++
				if i%3 == 0 {
					continue
				}
				c.ZRem(t.Context(), failed, id)
				if i%3 == 1 { // it has failed again
					c.ZAdd(t.Context(), failed, redis.Z{Score: float64(time.Now().Add(time.Minute).UnixMilli()), Member: id})
				}
			}
		}
		want := map[string]int{}
		for i := range n {
			want[strconv.Itoa(i)] = 1
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("how often each was listed in %d pages (-want +got):\n%s", pages, diff)
		}
	})
}

func TestARetriedJobAndItsBatchExpireNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, time.Hour)
		j := job("a")
		j.Batch = "march"
		r := place(t, c, l, j, tasks.StateFailed)
		time.Sleep(59 * time.Minute)
		step(t, l, r, tasks.StepRetried)
		time.Sleep(500 * time.Hour)
		if err := l.Prune(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		if got := get(t, l, "a"); got.State != tasks.StateQueued {
			t.Errorf("the job is %s", got.State)
		}
		want := zeros()
		want[tasks.StateQueued] = 1
		got, err := l.Batch(t.Context(), account, "march")
		if err != nil || got == nil || !cmp.Equal(want, got.Jobs) {
			t.Errorf("Batch: %+v, %v; want %v", got, err, want)
		}
		if failed := members(t, c, "state:failed"); len(failed) != 0 {
			t.Errorf("still listed as failed: %q", failed)
		}
	})
}

func TestOwnerNamesTheJobThatHasAnInstance(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, job("a"))
		if _, err := create(t, l, get(t, l, "a"), "cams-1"); err != nil {
			t.Fatal(err)
		}
		for instance, want := range map[string]string{"cams-1": "a", "cams-2": ""} {
			if got, err := l.InstanceOwner(t.Context(), account, instance); err != nil || got != want {
				t.Errorf("InstanceOwner(%s) = %q, %v; want %q", instance, got, err, want)
			}
		}
	})
}
