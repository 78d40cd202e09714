package queue

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/tasks"
)

// Leases returns the leased tasks of each of the asynq queues, in the order of the queues
// and in one round trip: each task with the time at which its lease expires, in seconds,
// by the clock of the process that wrote it. The queues are of one account.
func (c *Client) Leases(ctx context.Context, queues ...string) ([]map[string]int64, error) {
	replies := make([]*redis.ZSliceCmd, len(queues))
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			replies[i] = p.ZRangeWithScores(ctx, asynqx.Key(queue, "lease"), 0, -1)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: reading the leases of %q: %w", queues, err)
	}
	out := make([]map[string]int64, len(queues))
	for i, cmd := range replies {
		out[i] = make(map[string]int64, len(cmd.Val()))
		for _, lease := range cmd.Val() {
			out[i][lease.Member.(string)] = int64(lease.Score)
		}
	}
	return out, nil
}

// Extend makes the leases of tasks expire d from now. Like asynq (v0.26.0, rdb.go,
// ExtendLease) it uses this process's clock, in seconds, and skips a task without a
// lease: its worker has finished it.
func (c *Client) Extend(ctx context.Context, queue string, ids []string, d time.Duration) error {
	ends := float64(time.Now().Add(d).Unix())
	leases := make([]redis.Z, len(ids))
	for i, id := range ids {
		leases[i] = redis.Z{Member: id, Score: ends}
	}
	if err := c.rdb.ZAddXX(ctx, asynqx.Key(queue, "lease"), leases...).Err(); err != nil {
		return fmt.Errorf("queue: extending %d leases of %s: %w", len(ids), queue, err)
	}
	return nil
}

// givenBackAtOnce is how many tasks one script puts back. Each costs a search of the
// queue's active tasks.
const givenBackAtOnce = 100

// GiveBack puts leased tasks back into their queue, where workers take them next, the one
// with the oldest lease first, and returns how many. It skips a task whose lease differs
// from the one in leases: its worker is alive, or another one has it. It also skips a
// task whose message asynq cannot decode: no worker ever gets it, and at the head of the
// queue it would block all others. asynq takes that one back much later.
//
// It does what asynq's own script does for a task of a worker that stops (v0.26.0,
// rdb.go, requeueCmd). If the worker that had the task goes on, its bookkeeping finds
// no task, or the task of the next worker, which then has no lease: either way the task
// comes back or its job has ended.
func (c *Client) GiveBack(ctx context.Context, queue string, leases map[string]int64) (int, error) {
	ids := slices.SortedFunc(maps.Keys(leases), func(a, b string) int {
		return cmp.Or(cmp.Compare(leases[b], leases[a]), cmp.Compare(b, a)) // the last is taken first
	})
	ids = slices.DeleteFunc(ids, func(id string) bool { return c.messages.Unreadable(queue, id) })
	back := 0
	for ids := range slices.Chunk(ids, givenBackAtOnce) {
		keys := []string{asynqx.Key(queue, "pending"), asynqx.Key(queue, "active"), asynqx.Key(queue, "lease")}
		args := []any{tasks.WakeChannel, queue}
		for _, id := range ids {
			keys = append(keys, asynqx.TaskKey(queue, id))
			args = append(args, id, leases[id])
		}
		n, err := c.giveBack.Run(ctx, c.rdb, keys, args...).Int()
		if err != nil {
			return back, fmt.Errorf("queue: putting %d tasks back into %s: %w", len(ids), queue, err)
		}
		back += n
	}
	return back, nil
}
