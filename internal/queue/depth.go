package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

// Depths tells how the accounts' asynq queues stand, in the order of the names. It
// is one round trip of plain commands for all of them, cheap enough for a look each
// second at some hundred accounts. The numbers are of one moment for each queue,
// not for all together. Each account is judged by its own answers: errs is nil if all
// have answered; else it has the error of each account, nil where the depth is right.
func (c *Client) Depths(ctx context.Context, accounts []string) (depths []tasks.Depth, errs []error) {
	keys := make([]string, len(accounts))
	for i, account := range accounts {
		keys[i] = asynqx.Key(tasks.ProvisionQueue(account), "pending")
	}
	asked := make([]struct{ normal, high depth }, len(accounts))
	redisconn.Apart(ctx, c.rdb, keys, func(p redis.Pipeliner, some []int) {
		for _, i := range some {
			asked[i].normal.ask(ctx, p, tasks.ProvisionQueue(accounts[i]))
			asked[i].high.ask(ctx, p, tasks.HighQueue(accounts[i]))
		}
	})
	depths, each := make([]tasks.Depth, len(accounts)), make([]error, len(accounts))
	failed := false
	for i, a := range asked {
		if err := cmp.Or(a.normal.err(), a.high.err()); err != nil {
			each[i], failed = fmt.Errorf("queue: looking how deep the queues of account %s are: %w", accounts[i], err), true
			continue
		}
		depths[i] = tasks.Depth{
			Normal: a.normal.pending.Val(), High: a.high.pending.Val(),
			Active: a.normal.active.Val() + a.high.active.Val(),
			Due:    earliest(a.normal.retry, a.normal.scheduled, a.high.retry, a.high.scheduled),
		}
	}
	if failed {
		errs = each
	}
	return depths, errs
}

// depth is what is asked of one queue.
type depth struct {
	pending, active  *redis.IntCmd
	retry, scheduled *redis.ZSliceCmd
}

func (d *depth) ask(ctx context.Context, p redis.Pipeliner, queue string) {
	d.pending, d.active = p.LLen(ctx, asynqx.Key(queue, "pending")), p.LLen(ctx, asynqx.Key(queue, "active"))
	d.retry, d.scheduled = p.ZRangeWithScores(ctx, asynqx.Key(queue, "retry"), 0, 0), p.ZRangeWithScores(ctx, asynqx.Key(queue, "scheduled"), 0, 0)
}

func (d *depth) err() error {
	return cmp.Or(d.pending.Err(), d.active.Err(), d.retry.Err(), d.scheduled.Err())
}

// earliest is the first of the times at which tasks come back, which asynq keeps in
// seconds; zero if none does.
func earliest(lists ...*redis.ZSliceCmd) time.Time {
	var first time.Time
	for _, list := range lists {
		for _, task := range list.Val() {
			if at := time.Unix(int64(task.Score), 0); first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	return first
}

// positionWalk is how far [Client.Position] walks along a queue: some milliseconds of
// Redis's time, during which it answers no other command.
const positionWalk = 50_000

// Position tells how many tasks of its queue will be taken before the job's, or -1
// if the job's does not wait there: a worker has it, it comes back later, or it is
// lost. It walks along the queue from the end that is taken first, so it is for a
// person who asks about one job. Of a very long queue it walks a part; then atLeast
// says that there are more before the job's.
func (c *Client) Position(ctx context.Context, r tasks.Record) (before int64, atLeast bool, err error) {
	queue := tasks.JobQueue(r.Account, r.Priority)
	var length, at *redis.IntCmd
	var elsewhere []*redis.FloatCmd
	_, err = c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		// asynq pushes on the left and pops on the right (v0.26.0, internal/rdb/rdb.go).
		pending := asynqx.Key(queue, "pending")
		length, at = p.LLen(ctx, pending), p.LPos(ctx, pending, r.ID, redis.LPosArgs{Rank: -1, MaxLen: positionWalk})
		for _, list := range []string{"lease", "retry", "scheduled", "archived"} {
			elsewhere = append(elsewhere, p.ZScore(ctx, asynqx.Key(queue, list), r.ID))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, false, fmt.Errorf("queue: looking where job %s stands in its queue: %w", r.Ref(), err)
	}
	if at.Err() == nil {
		return length.Val() - 1 - at.Val(), false, nil
	}
	for _, score := range elsewhere {
		if score.Err() == nil {
			return -1, false, nil
		}
	}
	if length.Val() > positionWalk {
		return positionWalk, true, nil
	}
	return -1, false, nil
}
