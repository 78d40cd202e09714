package enqueue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// A task whose worker is gone is the next to be taken, as asynq sees it too, and each
// worker hears of it.
func TestATaskOfAWorkerThatIsGoneIsTakenNext(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, _ string) {
			ctx := t.Context()
			c.FlushDB(ctx)
			client := newClient(t, c, dataKey)
			for _, id := range []string{"a", "b", "c", "waits"} {
				j := j
				j.ID, j.Request.InstanceName = id, id
				create(t, client, j, enqueue.StatusQueued)
			}
			for i, id := range []string{"b", "a", "c"} {
				dequeue(ctx, c, keysOf(own), id, float64(1000+i))
			}
			leases, err := client.Leases(ctx, own, tasks.QueueCallback)
			if diff := cmp.Diff([]map[string]int64{{"b": 1000, "a": 1001, "c": 1002}, {}}, leases); diff != "" || err != nil {
				t.Fatalf("Leases: %v (-want +got):\n%s", err, diff)
			}
			ears := listen(t, c)
			for _, want := range []int{3, 0} {
				if n, err := client.GiveBack(ctx, own, leases[0]); n != want || err != nil {
					t.Errorf("GiveBack: %d, %v; want %d", n, err, want)
				}
			}
			ears.must(t, "giving tasks back, once with none to give", own)
			for _, id := range []string{"a", "b", "c"} {
				mustWait(t, c, own, id)
			}
			// asynq takes the last.
			if got := c.LRange(ctx, keysOf(own)("pending"), 0, -1).Val(); !slices.Equal(got, []string{"waits", "c", "a", "b"}) {
				t.Errorf("pending: %q; want the oldest lease to be taken first", got)
			}
			info, err := asynq.NewInspectorFromRedisClient(c).GetQueueInfo(own)
			if err != nil || info.Pending != 4 || info.Active != 0 || info.Latency > time.Minute {
				t.Errorf("asynq says of the queue: %+v, %v", info, err)
			}
		})
	})
}

// A lease is moved on for a task that has one, and made for none.
func TestALeaseIsExtendedWhileItsTaskHasOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, _ string) {
			ctx := t.Context()
			c.FlushDB(ctx)
			client := newClient(t, c, dataKey)
			for _, id := range []string{"a", "b", "done"} {
				j := j
				j.ID, j.Request.InstanceName = id, id
				create(t, client, j, enqueue.StatusQueued)
			}
			for _, id := range []string{"a", "b"} {
				dequeue(ctx, c, keysOf(own), id, 1000)
			}
			before := time.Now().Add(30 * time.Second).Unix()
			if err := client.Extend(ctx, own, []string{"a", "done"}, 30*time.Second); err != nil {
				t.Fatal(err)
			}
			after := time.Now().Add(30 * time.Second).Unix()
			leases, err := client.Leases(ctx, own)
			if err != nil || len(leases[0]) != 2 || leases[0]["b"] != 1000 || leases[0]["a"] < before || leases[0]["a"] > after {
				t.Errorf("Leases: %v, %v; want b until 1000 and a until %d to %d", leases, err, before, after)
			}
		})
	})
}

// What has moved on since it was seen, and what cannot be taken again, stays.
func TestOnlyATaskWhoseLeaseStandsWhereItStoodIsGivenBack(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client, key := t.Context(), newClient(t, c, dataKey), keysOf(queue)
		for _, id := range []string{"alive", "ended", "evicted", "unreadable", "back", "gone"} {
			create(t, client, newJob(id), enqueue.StatusQueued)
		}
		seen := map[string]int64{}
		for _, id := range []string{"alive", "ended", "evicted", "unreadable", "gone"} {
			dequeue(ctx, c, key, id, 1000)
			seen[id] = 1000
		}
		seen["back"], seen["unknown"] = 1000, 1000
		c.ZAdd(ctx, key("lease"), redis.Z{Score: 1005, Member: "alive"})
		c.LRem(ctx, key("active"), 0, "ended")
		c.HDel(ctx, key("t:evicted"), "msg")
		c.HSet(ctx, key("t:unreadable"), "msg", "garbage")
		if n, err := client.GiveBack(ctx, queue, seen); n != 1 || err != nil {
			t.Errorf("GiveBack: %d, %v; want 1", n, err)
		}
		for id, want := range map[string][]string{
			"alive": {"active", "lease"}, "ended": {"lease"}, "evicted": {"active", "lease"}, "unreadable": {"active", "lease"}, "back": {"pending"}, "gone": {"pending"}, "unknown": nil,
		} {
			if got := standing(t, c, queue, id); !slices.Equal(got, want) {
				t.Errorf("task %s stands in %q, want %q", id, got, want)
			}
		}
		if n := c.Exists(ctx, key("t:unknown")).Val(); n != 0 {
			t.Error("a task was made of nothing")
		}
	})
}

func TestVeryManyTasksAreGivenBack(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client := t.Context(), newClient(t, c, dataKey)
		seen := map[string]int64{}
		for i := range 350 { // more than three scripts take
			id := fmt.Sprintf("j%03d", i)
			create(t, client, newJob(id), enqueue.StatusQueued)
			dequeue(ctx, c, keysOf(queue), id, 1000)
			seen[id] = 1000
		}
		if n, err := client.GiveBack(ctx, queue, seen); n != len(seen) || err != nil {
			t.Errorf("GiveBack: %d, %v; want %d", n, err, len(seen))
		}
		if n := c.LLen(ctx, keysOf(queue)("pending")).Val(); n != int64(len(seen)) {
			t.Errorf("%d tasks are pending, want %d", n, len(seen))
		}
	})
}

func TestLeasesThatCannotBeReadAreAnError(t *testing.T) {
	_, c := redistest.Mini(t)
	client := newClient(t, c, dataKey)
	c.Set(t.Context(), keysOf(queue)("lease"), "x", 0)
	if leases, err := client.Leases(t.Context(), queue); err == nil {
		t.Errorf("Leases: %v", leases)
	}
	c.Set(t.Context(), keysOf(queue)("lease"), "x", 0)
	if n, err := client.GiveBack(t.Context(), queue, map[string]int64{"a": 1}); err == nil {
		t.Errorf("GiveBack: %d", n)
	}
}
