package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

// List names one of an account's lists of jobs.
type List string

// The lists of jobs. Besides them there is one for each state but created and cancelled:
// see [StateList].
const (
	OwedCallbacks List = "owed"
	DeadCallbacks List = "dead"
)

// The lists of completed batches that are to be delivered, and of those whose callback
// was given up. Their members are as [tasks.BatchRef.Key] says.
const (
	OwedBatches List = "batches:owed"
	DeadBatches List = "batches:dead"
)

// StateList is the list of the jobs in a state.
func StateList(s tasks.State) List { return List("state:" + string(s)) }

// upTo asks for the members of a sorted set that have a time up to the given one.
func upTo(key string, at time.Time, offset, n int64) redis.ZRangeArgs {
	return redis.ZRangeArgs{
		Key: key, ByScore: true, Start: "-inf", Stop: at.UnixMilli(), Offset: offset, Count: n,
	}
}

// Overview is how many jobs of an account stand where.
type Overview struct {
	Account string
	// Jobs counts by state: those that stand there now, and of the final states
	// all that ever ended so, also those whose records have expired.
	Jobs map[tasks.State]int64
	// Oldest is how long the oldest job of a state has been in it.
	Oldest map[tasks.State]time.Duration
	// PendingCallbacks and DeadCallbacks count callbacks of jobs and of batches that are
	// owed, or given up. OldestPending is the age of the oldest one owed.
	PendingCallbacks, DeadCallbacks int64
	OldestPending                   time.Duration
}

// Overview counts an account's jobs in one round trip.
func (l *Ledger) Overview(ctx context.Context, account string) (Overview, error) {
	lane := laneOf(account)
	var clock func() (time.Time, error)
	var count *redis.MapStringStringCmd
	var owed, dead [2]*redis.IntCmd
	var oldestOwed [2]*redis.ZSliceCmd
	oldest := map[tasks.State]*redis.ZSliceCmd{}
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		clock, count = l.askTime(ctx, p, account), p.HGetAll(ctx, lane.count())
		for i, lists := range [2][2]string{{lane.owed(), lane.dead()}, {lane.owedBatches(), lane.deadBatches()}} {
			owed[i], dead[i] = p.ZCard(ctx, lists[0]), p.ZCard(ctx, lists[1])
			oldestOwed[i] = p.ZRangeWithScores(ctx, lists[0], 0, 0)
		}
		for _, s := range tasks.States() {
			if !s.Final() {
				oldest[s] = p.ZRangeWithScores(ctx, lane.state(s), 0, 0)
			}
		}
		return nil
	})
	if err != nil {
		return Overview{}, fmt.Errorf("ledger: counting the jobs of account %s: %w", account, err)
	}
	now, err := clock()
	if err != nil {
		return Overview{}, err
	}
	age := func(z *redis.ZSliceCmd) time.Duration {
		if len(z.Val()) == 0 {
			return 0
		}
		return max(0, now.Sub(time.UnixMilli(int64(z.Val()[0].Score))))
	}
	o := Overview{
		Account: account, Jobs: states(count.Val()), Oldest: map[tasks.State]time.Duration{},
		PendingCallbacks: owed[0].Val() + owed[1].Val(), DeadCallbacks: dead[0].Val() + dead[1].Val(),
		OldestPending: max(age(oldestOwed[0]), age(oldestOwed[1])),
	}
	for s, z := range oldest {
		o.Oldest[s] = age(z)
	}
	return o, nil
}

// Batches returns the names of the account's last n batches, the newest first.
func (l *Ledger) Batches(ctx context.Context, account string, n int64) ([]string, error) {
	if n <= 0 {
		return nil, nil
	}
	names, err := l.rdb.ZRevRange(ctx, laneOf(account).batches(), 0, n-1).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: listing the batches of account %s: %w", account, err)
	}
	return names, nil
}

func states(count map[string]string) map[tasks.State]int64 {
	out := map[tasks.State]int64{}
	for _, s := range tasks.States() {
		n, _ := strconv.ParseInt(count[string(s)], 10, 64)
		out[s] = n
	}
	return out
}

// Prune drops what points at records that have expired. It is safe at any time.
func (l *Ledger) Prune(ctx context.Context, account string) error {
	now, err := l.now(ctx, account)
	if err != nil {
		return err
	}
	lane, before := laneOf(account), now.Add(-l.keep)
	if err := l.rdb.ZRemRangeByScore(ctx, lane.state(tasks.StateFailed), "-inf", strconv.FormatInt(before.UnixMilli(), 10)).Err(); err != nil {
		return fmt.Errorf("ledger: trimming account %s: %w", account, err)
	}
	// A job that is held, or a batch that has such a job, outlives any age.
	completions := func(key string) string { return lane.completions(batchOf(key)) }
	for list, key := range map[string]func(string) string{
		lane.owed(): lane.job, lane.dead(): lane.job, lane.batches(): lane.batch,
		lane.owedBatches(): completions, lane.deadBatches(): completions,
	} {
		if err := l.pruneGone(ctx, list, before, key); err != nil {
			return fmt.Errorf("ledger: trimming account %s: %w", account, err)
		}
	}
	return nil
}

// pruneGone drops those of a list's old members whose key is gone.
func (l *Ledger) pruneGone(ctx context.Context, list string, before time.Time, key func(string) string) error {
	const page = 500
	for offset := int64(0); ; {
		members, err := l.rdb.ZRangeArgs(ctx, upTo(list, before, offset, page)).Result()
		if err != nil || len(members) == 0 {
			return err
		}
		keys, args := []string{list}, make([]any, len(members))
		for i, m := range members {
			keys, args[i] = append(keys, key(m)), m
		}
		dropped, err := pruneScript.Run(ctx, l.rdb, keys, args...).Int64()
		if err != nil {
			return err
		}
		offset += int64(len(members)) - dropped
	}
}
