package enqueue_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

func TestDepthsTellHowEachAccountsQueuesStand(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client := t.Context(), newClient(t, c, dataKey)
		add := func(account string, p tasks.Priority, ids ...string) {
			for _, id := range ids {
				j := withPriority(newJob(id), p)
				j.Account = account
				create(t, client, j, enqueue.StatusQueued)
			}
		}
		back := func(account string, p tasks.Priority, id, list string, at float64) {
			park(ctx, c, keysOf(tasks.JobQueue(account, p)), id, list)
			c.ZAdd(ctx, keysOf(tasks.JobQueue(account, p))(list), redis.Z{Score: at, Member: id})
		}
		add("acme", tasks.PriorityNormal, "a", "b", "c", "d", "e")
		add("acme", tasks.PriorityHigh, "f", "g", "h", "i")
		dequeue(ctx, c, keysOf(queue), "a", later)
		dequeue(ctx, c, keysOf(highQueue), "f", later)
		dequeue(ctx, c, keysOf(highQueue), "g", 1) // nobody's any more, and counted until it is put back
		back("acme", tasks.PriorityNormal, "b", "retry", 2_000_000_300)
		back("acme", tasks.PriorityNormal, "c", "scheduled", 2_000_000_200)
		back("acme", tasks.PriorityHigh, "h", "retry", 2_000_000_100)
		add("late", tasks.PriorityHigh, "a")
		back("late", tasks.PriorityHigh, "a", "scheduled", 2_000_000_050)
		add("idle", tasks.PriorityNormal, "a")
		back("idle", tasks.PriorityNormal, "a", "archived", 2_000_000_000)

		got, err := client.Depths(ctx, []string{"late", "none", "acme", "idle", "acme"})
		if err != nil {
			t.Fatal(err)
		}
		acme := tasks.Depth{Normal: 2, High: 1, Active: 3, Due: time.Unix(2_000_000_100, 0)}
		want := []tasks.Depth{{Due: time.Unix(2_000_000_050, 0)}, {}, acme, {}, acme}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Depths (-want +got):\n%s", diff)
		}
		if got, err := client.Depths(ctx, nil); len(got) != 0 || err != nil {
			t.Errorf("of no accounts: %v, %v", got, err)
		}
		c.Set(ctx, keysOf("provision:broken")("retry"), "x", 0)
		got, errs := client.Depths(ctx, []string{"broken", "acme"})
		if len(errs) != 2 || errs[0] == nil || errs[1] != nil || got[1] != acme {
			t.Errorf("beside a queue that cannot be read: %v, %v; want the other's depth", got, errs)
		}
	})
}

// trips counts what goes to Redis.
type trips struct{ pipelines, commands, alone atomic.Int64 }

func (n *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (n *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { n.alone.Add(1); return next(ctx, cmd) }
}

func (n *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		n.pipelines.Add(1)
		n.commands.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

func TestDepthsOfManyAccountsAreOneRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		client, counted := newClient(t, c, dataKey), &trips{}
		c.AddHook(counted)
		for range 2 { // go-redis connects, and may do so twice; those are commands too
			if _, err := client.Depths(t.Context(), names(1)); err != nil {
				t.Fatal(err)
			}
		}
		p, n, alone := counted.pipelines.Load(), counted.commands.Load(), counted.alone.Load()
		if got, err := client.Depths(t.Context(), names(300)); err != nil || len(got) != 300 {
			t.Fatalf("%d depths, %v", len(got), err)
		}
		p, n, alone = counted.pipelines.Load()-p, counted.commands.Load()-n, counted.alone.Load()-alone
		if p != 1 || alone != 0 || n > 8*300 {
			t.Errorf("%d pipelines with %d commands and %d commands alone, want one pipeline and at most 8 commands for each account", p, n, alone)
		}
	})
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("tenant-%d", i)
	}
	return out
}

func TestPositionTellsHowManyAreTakenBefore(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client, l := t.Context(), newClient(t, c, dataKey), newLedger(t, c)
		for _, id := range []string{"a", "b", "c", "d"} {
			create(t, client, newJob(id), enqueue.StatusQueued)
		}
		for _, id := range []string{"e", "f"} {
			create(t, client, withPriority(newJob(id), tasks.PriorityHigh), enqueue.StatusQueued)
		}
		must := func(want map[string]int64) {
			t.Helper()
			for id, n := range want {
				r, err := l.Get(ctx, newJob(id).Ref())
				if err != nil {
					t.Fatal(err)
				}
				if got, _, err := client.Position(ctx, r); got != n || err != nil {
					t.Errorf("Position(%s): %d, %v; want %d", id, got, err, n)
				}
			}
		}
		must(map[string]int64{"a": 0, "b": 1, "c": 2, "d": 3, "e": 0, "f": 1})

		// asynq itself takes the one of which no other stood before it.
		if first := c.RPop(ctx, keysOf(queue)("pending")).Val(); first != "a" {
			t.Errorf("%s was taken first", first)
		}
		c.LPush(ctx, keysOf(queue)("active"), "a")
		park(ctx, c, keysOf(queue), "c", "retry")
		c.Del(ctx, keysOf(highQueue)("pending"))
		must(map[string]int64{"a": -1, "b": 0, "c": -1, "d": 1, "e": -1, "f": -1})

		c.Del(ctx, keysOf(queue)("pending"))
		c.Set(ctx, keysOf(queue)("pending"), "x", 0)
		if n, _, err := client.Position(ctx, tasks.Record{Job: newJob("b")}); err == nil {
			t.Errorf("of a queue that cannot be read: %d", n)
		}
	})
}

// A walk along a million tasks would keep Redis from answering anybody else.
func TestPositionWalksAPartOfAVeryLongQueue(t *testing.T) {
	c := redistest.Start(t).Client() // miniredis fills such a queue in the square of its length
	ctx, client := t.Context(), newClient(t, c, dataKey)
	pending, fill := keysOf(queue)("pending"), make([]any, 20_000)
	for i := range fill {
		fill[i] = fmt.Sprintf("other-%d", i)
	}
	c.LPush(ctx, pending, "near")
	for range 3 {
		c.LPush(ctx, pending, fill...)
	}
	c.LPush(ctx, pending, "far")
	park(ctx, c, keysOf(queue), "later", "retry")
	for id, want := range map[string]struct {
		before  int64
		atLeast bool
	}{"near": {0, false}, "far": {50_000, true}, "later": {-1, false}} {
		n, atLeast, err := client.Position(ctx, tasks.Record{Job: newJob(id)})
		if n != want.before || atLeast != want.atLeast || err != nil {
			t.Errorf("Position(%s): %d, %v, %v; want %v", id, n, atLeast, err, want)
		}
	}
}

// BenchmarkDepths is the look that a worker takes each second, at 300 idle accounts.
func BenchmarkDepths(b *testing.B) {
	c := redistest.Start(b).Client()
	client, accounts := newClient(b, c, dataKey), names(300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Depths(b.Context(), accounts); err != nil {
			b.Fatal(err)
		}
	}
}
