package enqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

// Callback makes sure that a callback task for the job is on its way.
func (c *Client) Callback(ctx context.Context, ref tasks.Ref) error {
	_, err := c.ensure(ctx, tasks.QueueCallback, tasks.TypeDeliverCallback, []string{ref.String()}, false)
	return err
}

// Provision makes sure that tasks for the account's jobs are on their way. It is
// for jobs whose task has ended as it should: those may be many, and looking for
// what is left of a lost one costs a walk along the queue.
func (c *Client) Provision(ctx context.Context, account string, ids []string) error {
	_, err := c.ensure(ctx, tasks.ProvisionQueue(account), tasks.TypeCreateInstance, ids, false)
	return err
}

// Requeue makes sure that every one of the account's jobs has a task on its way
// to a worker, and returns how many had none. The IDs come in pages. It does not
// look at the jobs' states: a task whose job has ended finds that out, and ends.
func (c *Client) Requeue(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.ProvisionQueue(account), tasks.TypeCreateInstance, pages)
}

// RequeueCallbacks does the same for the callbacks that jobs owe.
func (c *Client) RequeueCallbacks(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.QueueCallback, tasks.TypeDeliverCallback, func(yield func([]string, error) bool) {
		for ids, err := range pages {
			refs := make([]string, len(ids))
			for i, id := range ids {
				refs[i] = tasks.Ref{Account: account, ID: id}.String()
			}
			if !yield(refs, err) {
				return
			}
		}
	})
}

// leaseGrace is how long a task counts as somebody's after its lease has ended.
// asynq's recoverer comes every minute for what ended 30 s before (v0.26.0,
// recoverer.go), but never takes a task whose message was evicted.
const leaseGrace = 5 * time.Minute

// Accounts returns the accounts that have, or had, jobs in this Redis, in order.
func (c *Client) Accounts(ctx context.Context) ([]string, error) {
	queues, err := c.rdb.SMembers(ctx, allQueues).Result()
	if err != nil {
		return nil, fmt.Errorf("enqueue: listing the queues: %w", err)
	}
	var out []string
	for _, q := range queues {
		if account, ok := strings.CutPrefix(q, tasks.ProvisionQueue("")); ok && tasks.ValidAccount(account) {
			out = append(out, account)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Survey looks over an account's asynq queue in one round trip. live is how many
// tasks are on their way to a worker; archived (the first 1,000) and unleased
// (active, but nobody's) are the IDs of those that asynq may not run again by
// itself.
func (c *Client) Survey(ctx context.Context, account string) (live int64, archived, unleased []string, err error) {
	lists := listKeys(tasks.ProvisionQueue(account))
	var pending, scheduled, retry *redis.IntCmd
	var active, dead *redis.StringSliceCmd
	var leases *redis.ZSliceCmd
	_, err = c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		pending, active, leases = p.LLen(ctx, lists[0]), p.LRange(ctx, lists[1], 0, -1), p.ZRangeWithScores(ctx, lists[2], 0, -1)
		scheduled, retry = p.ZCard(ctx, lists[3]), p.ZCard(ctx, lists[4])
		dead = p.ZRange(ctx, lists[5], 0, 999)
		return nil
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("enqueue: looking over the queue of account %s: %w", account, err)
	}
	leased := map[string]bool{}
	for _, lease := range leases.Val() {
		ended := time.Unix(int64(lease.Score), 0)
		leased[lease.Member.(string)] = time.Since(ended) < leaseGrace
	}
	live = pending.Val() + scheduled.Val() + retry.Val()
	for _, id := range active.Val() {
		if leased[id] {
			live++
		} else {
			unleased = append(unleased, id)
		}
	}
	return live, dead.Val(), unleased, nil
}

// audit ensures the tasks of all pages. So that a long pending list is read once
// and not once for each of its tasks, only those that do not look alive from
// outside go to the script, which looks again and decides.
func (c *Client) audit(ctx context.Context, queue, kind string, pages iter.Seq2[[]string, error]) (int, error) {
	var pending map[string]bool
	back := 0
	for ids, err := range pages {
		if err != nil {
			return back, err
		}
		var suspects []string
		states, err := c.taskStates(ctx, queue, ids)
		if err != nil {
			return back, err
		}
		for i, id := range ids {
			if states[i] == "pending" {
				if pending == nil {
					if pending, err = c.pending(ctx, queue); err != nil {
						return back, err
					}
				}
				if pending[id] {
					continue
				}
			}
			suspects = append(suspects, id)
		}
		n, err := c.ensure(ctx, queue, kind, suspects, true)
		back += n
		if err != nil {
			return back, err
		}
	}
	return back, nil
}

// taskStates reads what asynq says of each task, "" for one that is not there. A
// task that was evicted and then dequeued says "active" and has nothing else.
func (c *Client) taskStates(ctx context.Context, queue string, ids []string) ([]string, error) {
	cmds := make([]*redis.StringCmd, len(ids))
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.HGet(ctx, "asynq:{"+queue+"}:t:"+id, "state")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("enqueue: looking at %d tasks of %s: %w", len(ids), queue, err)
	}
	states := make([]string, len(ids))
	for i, cmd := range cmds {
		states[i] = cmd.Val()
	}
	return states, nil
}

// pending reads the queue's pending list, in pages from its head, where tasks
// enter it: one that moves meanwhile is seen twice rather than not at all.
func (c *Client) pending(ctx context.Context, queue string) (map[string]bool, error) {
	const page = 10_000
	seen := map[string]bool{}
	for start := int64(0); ; start += page {
		ids, err := c.rdb.LRange(ctx, listKeys(queue)[0], start, start+page-1).Result()
		if err != nil {
			return nil, fmt.Errorf("enqueue: reading the pending tasks of %s: %w", queue, err)
		}
		for _, id := range ids {
			seen[id] = true
		}
		if len(ids) < page {
			return seen, nil
		}
	}
}

// ensure puts back, by asynq's own script, each task that is not on its way. A
// task's payload is its ID in both queues. old says that a task without a hash
// may still stand in a list, which takes a walk along the list to find out.
func (c *Client) ensure(ctx context.Context, queue, kind string, ids []string, old bool) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	if err := c.prepare(ctx, queue); err != nil {
		return 0, err
	}
	back, flag := 0, 0
	if old {
		flag = 1
	}
	for len(ids) > 0 {
		n := min(len(ids), chunkSize)
		keys, args := listKeys(queue), []any{n, c.scripts.keys, c.scripts.args, flag}
		for _, id := range ids[:n] {
			_, task, err := captureTask(c.asynq, queue, kind, id, id)
			if err != nil {
				return back, err
			}
			keys = append(keys, task.keys...)
			args = append(append(args, task.id), task.args...)
		}
		m, err := c.scripts.requeue.Run(ctx, c.rdb, keys, args...).Int()
		if err != nil {
			return back, fmt.Errorf("enqueue: putting %d tasks back into %s: %w", n, queue, err)
		}
		back += m
		ids = ids[n:]
	}
	return back, nil
}
