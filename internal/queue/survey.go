package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/tasks"
)

// leaseGrace is how long a task counts as leased after its lease has expired. asynq's
// recoverer runs every minute, and takes leases that expired 30 s before (v0.26.0,
// recoverer.go), but never a task whose message was evicted.
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

// Survey reads an account's asynq queues in one round trip. live is the number of tasks
// that a worker has or will get. archived (the first 1,000 of each queue) and unleased
// (active without a lease) are the IDs of tasks that asynq may never run again.
func (c *Client) Survey(ctx context.Context, account string) (live int64, archived, unleased []string, err error) {
	queues := [...]string{tasks.ProvisionQueue(account), tasks.HighQueue(account)}
	var replies [len(queues)]survey
	_, err = c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			replies[i].query(ctx, p, asynqx.Lists(queue))
		}
		return nil
	})
	if err != nil {
		return 0, nil, nil, fmt.Errorf("queue: reading the queues of account %s: %w", account, err)
	}
	for _, s := range replies {
		n, lost := s.read()
		live += n
		archived, unleased = append(archived, s.archived.Val()...), append(unleased, lost...)
	}
	return live, archived, unleased, nil
}

// survey holds the replies about one queue.
type survey struct {
	pending, scheduled, retry *redis.IntCmd
	active, archived          *redis.StringSliceCmd
	leases                    *redis.ZSliceCmd
}

func (s *survey) query(ctx context.Context, p redis.Pipeliner, lists []string) {
	s.pending, s.active, s.leases = p.LLen(ctx, lists[0]), p.LRange(ctx, lists[1], 0, -1), p.ZRangeWithScores(ctx, lists[2], 0, -1)
	s.scheduled, s.retry = p.ZCard(ctx, lists[3]), p.ZCard(ctx, lists[4])
	s.archived = p.ZRange(ctx, lists[5], 0, 999)
}

// read counts the live tasks, and returns the active ones without a lease.
func (s *survey) read() (live int64, unleased []string) {
	leased := map[string]bool{}
	for _, lease := range s.leases.Val() {
		expired := time.Unix(int64(lease.Score), 0)
		leased[lease.Member.(string)] = time.Since(expired) < leaseGrace
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
