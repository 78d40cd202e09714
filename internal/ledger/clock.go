package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// timeLua is TIME for one who has a key: TIME itself has none, so a client of a cluster
// sends it to any node, also to one that is dead, and each node has its own clock.
const timeLua = "return redis.call('TIME')"

// now is the time of the server that has the account.
func (l *Ledger) now(ctx context.Context, account string) (time.Time, error) {
	var clock func() (time.Time, error)
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock = l.askTime(ctx, p, account)
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("ledger: asking Redis for the time: %w", err)
	}
	return clock()
}

// askTime puts the question for the time of the account's server into a pipeline. What
// it returns reads the answer.
func (l *Ledger) askTime(ctx context.Context, p redis.Pipeliner, account string) func() (time.Time, error) {
	if _, cluster := l.rdb.(*redis.ClusterClient); !cluster {
		return p.Time(ctx).Result
	}
	answer := p.Eval(ctx, timeLua, []string{laneOf(account).control()})
	return func() (time.Time, error) {
		parts, err := answer.StringSlice()
		if err != nil || len(parts) != 2 {
			return time.Time{}, fmt.Errorf("ledger: asking Redis for the time: %w", err)
		}
		seconds, err1 := strconv.ParseInt(parts[0], 10, 64)
		micros, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err1 != nil || err2 != nil {
			return time.Time{}, fmt.Errorf("ledger: Redis reports the time as %.40q", parts)
		}
		return time.Unix(seconds, micros*1000), nil
	}
}
