package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

const pageSize = 1000

var (
	//go:embed trylock.lua
	tryLockLua    string
	tryLockScript = redis.NewScript(tryLockLua)
)

// TryLock takes, or keeps, for d the lock of the one process that does a duty for
// the account.
func (l *Ledger) TryLock(ctx context.Context, account, duty string, d time.Duration) (bool, error) {
	held, err := tryLockScript.Run(ctx, l.rdb, []string{laneOf(account).dutyLock(duty)}, l.self, d.Milliseconds()).Bool()
	if err != nil {
		return false, fmt.Errorf("ledger: taking the lead to %s account %s: %w", duty, account, err)
	}
	return held, nil
}

// UnresolvedDue returns up to n of the account's jobs that are calling or uncertain
// and due, those first that have been so the longest. Of very many it looks at the first pages
// only: those further back have their tasks too.
func (l *Ledger) UnresolvedDue(ctx context.Context, account string, n int) ([]string, error) {
	const window = 500
	var lists []*redis.StringSliceCmd
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, s := range unresolvedStates {
			lists = append(lists, p.ZRange(ctx, laneOf(account).state(s), 0, window-1))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: listing the unresolved jobs of account %s: %w", account, err)
	}
	var due []string
	for _, list := range lists {
		found, err := l.GetMany(ctx, account, list.Val())
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if f.Err == nil && f.Record.Wait() == 0 && len(due) < n {
				due = append(due, f.Record.ID)
			}
		}
	}
	return due, nil
}

// unresolvedStates are the states in which a call may have made an instance that is not
// recorded.
var unresolvedStates = []tasks.State{tasks.StateCalling, tasks.StateUncertain}

// unfinished are the states in which a job needs a task to go on.
var unfinished = []tasks.State{tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain}

// CountUnfinished counts the account's jobs that need a task to go on.
func (l *Ledger) CountUnfinished(ctx context.Context, account string) (int64, error) {
	var counts []*redis.IntCmd
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, s := range unfinished {
			counts = append(counts, p.ZCard(ctx, laneOf(account).state(s)))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("ledger: counting the unfinished jobs of account %s: %w", account, err)
	}
	var sum int64
	for _, c := range counts {
		sum += c.Val()
	}
	return sum, nil
}

// Unfinished pages through the account's jobs that need a task to go on and have
// stood in their state for at least age.
func (l *Ledger) Unfinished(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for _, s := range unfinished {
			for ids, err := range l.pages(ctx, account, StateList(s), age) {
				if !yield(ids, err) || err != nil {
					return
				}
			}
		}
	}
}

// PendingCallbacks pages through the account's jobs whose callback has been owed for at least age.
func (l *Ledger) PendingCallbacks(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error] {
	return l.pages(ctx, account, OwedCallbacks, age)
}

// Listed pages through the jobs of a list, the newest first. It holds those that
// were there when it began, each once, whatever enters or leaves meanwhile.
func (l *Ledger) Listed(ctx context.Context, account string, list List) iter.Seq2[[]string, error] {
	return l.pages(ctx, account, list, 0)
}

// pages goes on from the time of the last job rather than from a number of jobs,
// since others may leave the list at any place meanwhile.
func (l *Ledger) pages(ctx context.Context, account string, list List, age time.Duration) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		now, err := l.now(ctx, account)
		if err != nil {
			yield(nil, err)
			return
		}
		at, given := now.Add(-age).UnixMilli(), map[string]bool{} // given are those of exactly that time
		for {
			page := redis.ZRangeArgs{
				Key: string(laneOf(account)) + string(list), ByScore: true, Rev: true,
				Start: at, Stop: "-inf", Count: int64(pageSize + len(given)),
			}
			jobs, err := l.rdb.ZRangeArgsWithScores(ctx, page).Result()
			if err != nil {
				yield(nil, fmt.Errorf("ledger: listing %s of account %s: %w", list, account, err))
				return
			}
			var ids []string
			for _, j := range jobs {
				id := j.Member.(string)
				if entered := int64(j.Score); entered != at {
					at = entered
					clear(given)
				}
				if !given[id] {
					given[id] = true
					ids = append(ids, id)
				}
			}
			if len(ids) == 0 || !yield(ids, nil) || int64(len(jobs)) < page.Count {
				return
			}
		}
	}
}
