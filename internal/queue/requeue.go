package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/tasks"
)

// Callback makes sure that a callback task for the job is on its way.
func (c *Client) Callback(ctx context.Context, ref tasks.Ref) error {
	_, err := c.ensure(ctx, tasks.TypeDeliverCallback, callbacks([]string{ref.String()}), false)
	return err
}

// Provision makes sure that tasks for the account's jobs are on their way. It is
// for jobs whose task has ended as it should: those may be many, and looking for
// what is left of a lost one costs a walk along the queue.
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

// Requeue makes sure that every one of the account's jobs has a task on its way
// to a worker, and returns how many had none: those come back into the queue of
// their priority. The IDs come in pages. It does not look at the jobs' states: a
// task whose job has ended finds that out, and ends.
func (c *Client) Requeue(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.TypeCreateInstance, pages, func(ids []string) ([]group, error) {
		return c.byPriority(ctx, account, ids)
	})
}

// RequeueCallbacks does the same for the callbacks that jobs owe.
func (c *Client) RequeueCallbacks(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.TypeDeliverCallback, pages, func(ids []string) ([]group, error) {
		refs := make([]string, len(ids))
		for i, id := range ids {
			refs[i] = tasks.Ref{Account: account, ID: id}.String()
		}
		return []group{callbacks(refs)}, nil
	})
}

// BatchCallback makes sure that a task that tells of a batch's completion is on its way.
func (c *Client) BatchCallback(ctx context.Context, ref tasks.BatchRef) error {
	_, err := c.ensure(ctx, tasks.TypeDeliverBatch, callbacks([]string{ref.String()}), false)
	return err
}

// RequeueBatches does what [Client.RequeueCallbacks] does, for the completions of
// batches that an account owes, as [tasks.BatchRef.Key] names them.
func (c *Client) RequeueBatches(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error) {
	return c.audit(ctx, tasks.TypeDeliverBatch, pages, func(keys []string) ([]group, error) {
		refs := make([]string, len(keys))
		for i, key := range keys {
			refs[i] = account + "/" + key
		}
		return []group{callbacks(refs)}, nil
	})
}

// group is tasks that belong into one queue.
type group struct {
	// queues are those in which the tasks may stand. They belong into the first.
	queues []string
	ids    []string
}

func callbacks(refs []string) group { return group{queues: []string{tasks.QueueCallback}, ids: refs} }

// byPriority groups jobs by the queue that their tasks belong into. A task may
// stand in the account's other queue too, if an older camsq has put it back there.
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

// leaseGrace is how long a task counts as somebody's after its lease has ended.
// asynq's recoverer comes every minute for what ended 30 s before (v0.26.0,
// recoverer.go), but never takes a task whose message was evicted.
const leaseGrace = 5 * time.Minute

// Accounts returns the accounts that have, or had, jobs in this Redis, in order.
func (c *Client) Accounts(ctx context.Context) ([]string, error) {
	queues, err := asynqx.Queues(ctx, c.rdb)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	ending := strings.TrimPrefix(tasks.HighQueue(""), tasks.ProvisionQueue(""))
	var out []string
	for _, q := range queues {
		account, ok := strings.CutPrefix(strings.TrimSuffix(q, ending), tasks.ProvisionQueue(""))
		if ok && tasks.ValidAccount(account) {
			out = append(out, account)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Survey looks over an account's asynq queues in one round trip. live is how many
// tasks are on their way to a worker; archived (the first 1,000 of each queue) and
// unleased (active, but nobody's) are the IDs of those that asynq may not run
// again by itself.
func (c *Client) Survey(ctx context.Context, account string) (live int64, archived, unleased []string, err error) {
	queues := [...]string{tasks.ProvisionQueue(account), tasks.HighQueue(account)}
	var seen [len(queues)]survey
	_, err = c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			seen[i].ask(ctx, p, asynqx.Lists(queue))
		}
		return nil
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("queue: looking over the queues of account %s: %w", account, err)
	}
	for _, s := range seen {
		n, nobodys := s.read()
		live += n
		archived, unleased = append(archived, s.archived.Val()...), append(unleased, nobodys...)
	}
	return live, archived, unleased, nil
}

// survey is what is asked of one queue.
type survey struct {
	pending, scheduled, retry *redis.IntCmd
	active, archived          *redis.StringSliceCmd
	leases                    *redis.ZSliceCmd
}

func (s *survey) ask(ctx context.Context, p redis.Pipeliner, lists []string) {
	s.pending, s.active, s.leases = p.LLen(ctx, lists[0]), p.LRange(ctx, lists[1], 0, -1), p.ZRangeWithScores(ctx, lists[2], 0, -1)
	s.scheduled, s.retry = p.ZCard(ctx, lists[3]), p.ZCard(ctx, lists[4])
	s.archived = p.ZRange(ctx, lists[5], 0, 999)
}

// read counts what is on its way, and tells which active tasks are nobody's.
func (s *survey) read() (live int64, unleased []string) {
	leased := map[string]bool{}
	for _, lease := range s.leases.Val() {
		ended := time.Unix(int64(lease.Score), 0)
		leased[lease.Member.(string)] = time.Since(ended) < leaseGrace
	}
	live = s.pending.Val() + s.scheduled.Val() + s.retry.Val()
	for _, id := range s.active.Val() {
		if leased[id] {
			live++
		} else {
			unleased = append(unleased, id)
		}
	}
	return live, unleased
}

// audit ensures the tasks of all pages, which split sorts by their queues. So that
// a long pending list is read once and not once for each of its tasks, only those
// that do not look alive from outside go to the script, which looks again and
// decides.
func (c *Client) audit(ctx context.Context, kind string, pages iter.Seq2[[]string, error], split func(ids []string) ([]group, error)) (int, error) {
	waiting := map[string]map[string]bool{}
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
			if g.ids, err = c.suspects(ctx, g, waiting); err != nil {
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

// suspects returns the tasks of a group that do not stand in one of its queues
// alone, waiting for a worker there. waiting keeps the queues' pending tasks.
func (c *Client) suspects(ctx context.Context, g group, waiting map[string]map[string]bool) ([]string, error) {
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
		if queue != "" && waiting[queue] == nil {
			if waiting[queue], err = c.pending(ctx, queue); err != nil {
				return nil, err
			}
		}
		if places != 1 || !waiting[queue][id] {
			out = append(out, id)
		}
	}
	return out, nil
}

// taskStates reads what asynq says of each task in each of the group's queues, ""
// where it does not stand. A task that was evicted and then dequeued says "active"
// and has nothing else.
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
		return nil, fmt.Errorf("queue: looking at %d tasks of %s: %w", len(g.ids), g.queues[0], err)
	}
	states := make([][]string, len(g.ids))
	for i := range states {
		for q := range g.queues {
			states[i] = append(states[i], cmds[i*len(g.queues)+q].Val())
		}
	}
	return states, nil
}

// pending reads the queue's pending list, in pages from its head, where tasks
// enter it: one that moves meanwhile is seen twice rather than not at all.
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

// ensuredAtOnce is how many tasks one script looks at.
const ensuredAtOnce = 500

// ensure puts back, by asynq's own script, each task of a group that is not on its
// way. A task's payload is its ID in every queue. old says that a task without a
// hash may still stand in a list, which takes a walk along the list to find out.
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
