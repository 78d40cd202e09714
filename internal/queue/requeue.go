package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/tasks"
)

// Callback ensures that asynq has a callback task of the job.
func (c *Client) Callback(ctx context.Context, ref tasks.Ref) error {
	_, err := c.ensure(ctx, tasks.TypeDeliverCallback, callbacks([]string{ref.String()}), false)
	return err
}

// Provision ensures that asynq has tasks of the account's jobs. It is for jobs whose
// tasks have ended regularly: it does not search the lists for the remains of a lost
// task, which would walk the queue once for each job.
func (c *Client) Provision(ctx context.Context, account string, ids []string) error {
	groups, err := c.byPriority(ctx, account, ids)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if _, err := c.ensure(ctx, tasks.TypeCreateInstance, g, false); err != nil {
			return err
		}
	}
	return nil
}

// Requeue ensures that asynq has a task of each of the account's jobs, and returns how
// many had none: their tasks come back into the queue of their priority. The IDs come
// in pages. Requeue does not read the jobs' states: the task of a job that has ended
// does nothing.
func (c *Client) Requeue(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.TypeCreateInstance, pages, func(ids []string) ([]group, error) {
		return c.byPriority(ctx, account, ids)
	})
}

// RequeueCallbacks does the same for the pending callbacks of jobs.
func (c *Client) RequeueCallbacks(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.TypeDeliverCallback, pages, func(ids []string) ([]group, error) {
		refs := make([]string, len(ids))
		for i, id := range ids {
			refs[i] = tasks.Ref{Account: account, ID: id}.String()
		}
		return []group{callbacks(refs)}, nil
	})
}

// BatchCallback ensures that asynq has a callback task of a batch's completion.
func (c *Client) BatchCallback(ctx context.Context, ref tasks.BatchRef) error {
	_, err := c.ensure(ctx, tasks.TypeDeliverBatch, callbacks([]string{ref.String()}), false)
	return err
}

// RequeueBatches does what [Client.RequeueCallbacks] does, for the pending completions
// of an account's batches, by their [tasks.BatchRef.Key].
func (c *Client) RequeueBatches(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.TypeDeliverBatch, pages, func(keys []string) ([]group, error) {
		refs := make([]string, len(keys))
		for i, key := range keys {
			refs[i] = account + "/" + key
		}
		return []group{callbacks(refs)}, nil
	})
}

// group is tasks of one queue.
type group struct {
	// queues are those that may hold the tasks. The first one is theirs.
	queues []string
	ids    []string
}

func callbacks(refs []string) group { return group{queues: []string{tasks.QueueCallback}, ids: refs} }

// byPriority groups jobs by the queues of their tasks. The account's other queue may
// hold a task too, if an older camsq has put it back there.
func (c *Client) byPriority(ctx context.Context, account string, ids []string) ([]group, error) {
	priorities, err := c.ledger.Priorities(ctx, account, ids)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	normal, high := tasks.ProvisionQueue(account), tasks.HighQueue(account)
	groups := []group{{queues: []string{high, normal}}, {queues: []string{normal, high}}}
	for i, id := range ids {
		g := &groups[1]
		if priorities[i] == tasks.PriorityHigh {
			g = &groups[0]
		}
		g.ids = append(g.ids, id)
	}
	return groups, nil
}

// audit ensures the tasks of all pages, which split groups by their queues. It reads a
// long pending list once, and not once for each of its tasks: only the tasks that do not
// look alive go to the script, which checks them again.
func (c *Client) audit(ctx context.Context, kind string, pages iter.Seq2[[]string, error], split func(ids []string) ([]group, error)) (int, error) {
	pending := map[string]map[string]bool{}
	back := 0
	for ids, err := range pages {
		if err != nil {
			return back, err
		}
		groups, err := split(ids)
		if err != nil {
			return back, err
		}
		for _, g := range groups {
			if g.ids, err = c.suspects(ctx, g, pending); err != nil {
				return back, err
			}
			n, err := c.ensure(ctx, kind, g, true)
			back += n
			if err != nil {
				return back, err
			}
		}
	}
	return back, nil
}

// suspects returns the tasks of a group that are not pending in exactly one of its
// queues. pending caches the queues' pending tasks.
func (c *Client) suspects(ctx context.Context, g group, pending map[string]map[string]bool) ([]string, error) {
	states, err := c.taskStates(ctx, g)
	if err != nil {
		return nil, err
	}
	var out []string
	for i, id := range g.ids {
		queue, places := "", 0
		for q, state := range states[i] {
			if state != "" {
				places++
			}
			if state == "pending" {
				queue = g.queues[q]
			}
		}
		if queue != "" && pending[queue] == nil {
			if pending[queue], err = c.pending(ctx, queue); err != nil {
				return nil, err
			}
		}
		if places != 1 || !pending[queue][id] {
			out = append(out, id)
		}
	}
	return out, nil
}

// taskStates reads each task's state in each of the group's queues, "" in a queue that
// does not hold it. A task that was evicted and then dequeued has the state "active" and
// nothing else.
func (c *Client) taskStates(ctx context.Context, g group) ([][]string, error) {
	cmds := make([]*redis.StringCmd, 0, len(g.ids)*len(g.queues))
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range g.ids {
			for _, queue := range g.queues {
				cmds = append(cmds, p.HGet(ctx, asynqx.TaskKey(queue, id), "state"))
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("queue: reading the states of %d tasks of %s: %w", len(g.ids), g.queues[0], err)
	}
	states := make([][]string, len(g.ids))
	for i := range states {
		for q := range g.queues {
			states[i] = append(states[i], cmds[i*len(g.queues)+q].Val())
		}
	}
	return states, nil
}

// pending reads the queue's pending list, in pages from its head, where tasks enter it:
// a task that moves meanwhile is read twice rather than not at all.
func (c *Client) pending(ctx context.Context, queue string) (map[string]bool, error) {
	const page = 10_000
	seen := map[string]bool{}
	for start := int64(0); ; start += page {
		ids, err := c.rdb.LRange(ctx, asynqx.Key(queue, "pending"), start, start+page-1).Result()
		if err != nil {
			return nil, fmt.Errorf("queue: reading the pending tasks of %s: %w", queue, err)
		}
		for _, id := range ids {
			seen[id] = true
		}
		if len(ids) < page {
			return seen, nil
		}
	}
}

// ensuredAtOnce is how many tasks one script checks.
const ensuredAtOnce = 500

// ensure enqueues, by asynq's own script, each task of a group that no worker has or will
// get, and returns how many. A task's payload is its ID in every queue. old means that a
// list may still hold a task without a hash: to find it the script walks the list.
func (c *Client) ensure(ctx context.Context, kind string, g group, old bool) (int, error) {
	if len(g.ids) == 0 {
		return 0, nil
	}
	queue := g.queues[0]
	if err := c.prepare(ctx, queue); err != nil {
		return 0, err
	}
	back, flag := 0, 0
	if old {
		flag = 1
	}
	callKeys, callArgs := c.composer.Size()
	for ids := range slices.Chunk(g.ids, ensuredAtOnce) {
		var keys []string
		for _, q := range g.queues {
			keys = append(keys, asynqx.Lists(q)...)
		}
		args := []any{len(ids), callKeys, callArgs, len(g.queues), flag, tasks.WakeChannel, queue}
		for _, id := range ids {
			call, err := c.composer.Call(asynqx.Task{Queue: queue, Type: kind, ID: id, Payload: id, Timeout: tasks.TurnTimeout})
			if err != nil {
				return back, fmt.Errorf("queue: %w", err)
			}
			keys = append(keys, call.Keys...)
			for _, other := range g.queues[1:] {
				keys = append(keys, asynqx.TaskKey(other, id))
			}
			args = append(append(args, id), call.Args...)
		}
		n, err := c.requeue.Run(ctx, c.rdb, keys, args...).Int()
		if err != nil {
			return back, fmt.Errorf("queue: putting %d tasks back into %s: %w", len(ids), queue, err)
		}
		back += n
	}
	return back, nil
}
