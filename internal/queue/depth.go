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

// Depths returns the depths of the accounts' asynq queues, in the order of the names. It
// takes one round trip of plain commands, cheap enough to poll some hundred accounts each
// second. The numbers of one queue are of one moment, those of several are not. An
// account fails alone: errs is nil if no account has an error; otherwise it has the error
// of each account, nil where the depth is valid.
func (c *Client) Depths(ctx context.Context, accounts []string) (depths []tasks.Depth, errs []error) {
	keys := make([]string, len(accounts))
	for i, account := range accounts {
		keys[i] = asynqx.Key(tasks.ProvisionQueue(account), "pending")
	}
	replies := make([]struct{ normal, high depth }, len(accounts))
	redisconn.Apart(ctx, c.rdb, keys, func(p redis.Pipeliner, some []int) {
		for _, i := range some {
			replies[i].normal.query(ctx, p, tasks.ProvisionQueue(accounts[i]))
			replies[i].high.query(ctx, p, tasks.HighQueue(accounts[i]))
		}
	})
	depths, each := make([]tasks.Depth, len(accounts)), make([]error, len(accounts))
	failed := false
	for i, a := range replies {
		if err := cmp.Or(a.normal.err(), a.high.err()); err != nil {
			each[i], failed = fmt.Errorf("queue: reading the depths of the queues of account %s: %w", accounts[i], err), true
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

// depth holds the replies about one queue.
type depth struct {
	pending, active  *redis.IntCmd
	retry, scheduled *redis.ZSliceCmd
}

func (d *depth) query(ctx context.Context, p redis.Pipeliner, queue string) {
	d.pending, d.active = p.LLen(ctx, asynqx.Key(queue, "pending")), p.LLen(ctx, asynqx.Key(queue, "active"))
	d.retry, d.scheduled = p.ZRangeWithScores(ctx, asynqx.Key(queue, "retry"), 0, 0), p.ZRangeWithScores(ctx, asynqx.Key(queue, "scheduled"), 0, 0)
}

func (d *depth) err() error {
	return cmp.Or(d.pending.Err(), d.active.Err(), d.retry.Err(), d.scheduled.Err())
}

// earliest returns the earliest time at which asynq brings a task back, in whole seconds;
// zero if there is no such task.
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

// positionWalk is how many tasks of a queue [Client.Position] searches: some milliseconds
// of Redis's time, during which it answers no other command.
const positionWalk = 50_000

// Position returns how many tasks of the job's queue workers take before the job's, or -1
// if that one is not pending: a worker has it, it comes back later, or it is lost. It
// searches the queue from the end that workers take from, so it is for questions about
// one job. It searches only a part of a very long queue; then atLeast means that there
// may be more before the job's.
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
		return 0, false, fmt.Errorf("queue: reading the position of job %s in its queue: %w", r.Ref(), err)
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
