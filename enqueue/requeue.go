package enqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

// Callback makes sure that a callback task for the job is on its way.
func (c *Client) Callback(ctx context.Context, ref tasks.Ref) error {
	_, err := c.ensure(ctx, tasks.QueueCallback, tasks.TypeDeliverCallback, []string{ref.String()})
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

// Survey is what stands in an account's asynq queue.
type Survey struct {
	// Tasks is how many tasks are on their way to a worker.
	Tasks int64
	// Stuck holds IDs of tasks that asynq will not run again by itself: archived
	// ones (the first 1,000), and active ones that have no lease.
	Stuck []string
}

// Survey looks over an account's queue in one round trip.
func (c *Client) Survey(ctx context.Context, account string) (Survey, error) {
	lists := listKeys(tasks.ProvisionQueue(account))
	var pending, scheduled, retry *redis.IntCmd
	var active, leases, archived *redis.StringSliceCmd
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		pending, active, leases = p.LLen(ctx, lists[0]), p.LRange(ctx, lists[1], 0, -1), p.ZRange(ctx, lists[2], 0, -1)
		scheduled, retry = p.ZCard(ctx, lists[3]), p.ZCard(ctx, lists[4])
		archived = p.ZRange(ctx, lists[5], 0, 999)
		return nil
	})
	if err != nil {
		return Survey{}, fmt.Errorf("enqueue: looking over the queue of account %s: %w", account, err)
	}
	leased := map[string]bool{}
	for _, id := range leases.Val() {
		leased[id] = true
	}
	s := Survey{Tasks: pending.Val() + scheduled.Val() + retry.Val(), Stuck: archived.Val()}
	for _, id := range active.Val() {
		if leased[id] {
			s.Tasks++
		} else {
			s.Stuck = append(s.Stuck, id)
		}
	}
	return s, nil
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
		n, err := c.ensure(ctx, queue, kind, suspects)
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

// pending reads the queue's pending list, in pages from its tail, where tasks
// leave it: one that moves meanwhile is seen twice rather than not at all.
func (c *Client) pending(ctx context.Context, queue string) (map[string]bool, error) {
	const page = 10_000
	seen := map[string]bool{}
	for end := int64(-1); ; end -= page {
		ids, err := c.rdb.LRange(ctx, listKeys(queue)[0], end-page+1, end).Result()
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
// task's payload is its ID in both queues.
func (c *Client) ensure(ctx context.Context, queue, kind string, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	if err := c.prepare(ctx, queue); err != nil {
		return 0, err
	}
	back := 0
	for len(ids) > 0 {
		n := min(len(ids), chunkSize)
		keys, args := listKeys(queue), []any{n, c.scripts.keys, c.scripts.args}
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
