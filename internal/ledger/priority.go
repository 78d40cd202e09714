package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

// Priorities returns the priorities of an account's jobs in one round trip, in the
// order of the IDs, and opens no record for it. A job that is not there, or whose
// priority this version does not know, counts as normal: it is a question of
// which queue a task belongs into, and the normal one is always served.
func (l *Ledger) Priorities(ctx context.Context, account string, ids []string) ([]tasks.Priority, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	lane, cmds := laneOf(account), make([]*redis.StringCmd, len(ids))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.Get(ctx, lane.job(id))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("ledger: reading the priorities of %d jobs of account %s: %w", len(ids), account, err)
	}
	out := make([]tasks.Priority, len(ids))
	for i, cmd := range cmds {
		// The pipeline's own error is that of its first command, most often a missing record.
		record, err := cmd.Result()
		if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return nil, fmt.Errorf("ledger: reading the priority of job %s: %w", tasks.Ref{Account: account, ID: ids[i]}, err)
		}
		if p := tasks.Priority(split(record).priority); p.Valid() {
			out[i] = p
		}
	}
	return out, nil
}
