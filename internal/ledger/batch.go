package ledger

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

var (
	//go:embed batch.lua
	batchLua string

	//go:embed close.lua
	closeLua    string
	closeScript = redis.NewScript(batchLua + closeLua)

	//go:embed completion.lua
	completionLua    string
	completionScript = redis.NewScript(completionLua)
)

// codeField is in front of a code whose jobs a batch counts.
const codeField = "code:"

// Batch reads how a batch stands in an account. It is nil if the account has no
// job of it, or none that ended less than [Config.Keep] ago.
func (l *Ledger) Batch(ctx context.Context, account, name string) (*tasks.Batch, error) {
	found, err := l.BatchIn(ctx, []string{account}, name)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// BatchIn does it for several accounts, in their order and in one round trip.
func (l *Ledger) BatchIn(ctx context.Context, accounts []string, name string) ([]*tasks.Batch, error) {
	keys := make([]string, len(accounts))
	for i, account := range accounts {
		keys[i] = laneOf(account).batch(name)
	}
	clocks := make([]func() (time.Time, error), len(accounts))
	fields := make([]*redis.MapStringStringCmd, len(accounts))
	redisconn.Apart(ctx, l.rdb, keys, func(p redis.Pipeliner, some []int) {
		clock := l.askTime(ctx, p, accounts[some[0]])
		for _, i := range some {
			clocks[i], fields[i] = clock, p.HGetAll(ctx, keys[i])
		}
	})
	out := make([]*tasks.Batch, len(accounts))
	for i, account := range accounts {
		if err := fields[i].Err(); err != nil {
			return nil, fmt.Errorf("ledger: reading batch %q of account %s: %w", name, account, err)
		}
		if len(fields[i].Val()) > 0 {
			now, err := clocks[i]()
			if err != nil {
				return nil, err
			}
			b := decodeBatch(account, name, fields[i].Val())
			b.Now = now
			out[i] = &b
		}
	}
	return out, nil
}

// decodeBatch is lenient: it is about numbers that are only shown.
func decodeBatch(account, name string, f map[string]string) tasks.Batch {
	number := func(field string) int64 {
		n, _ := strconv.ParseInt(f[field], 10, 64)
		return n
	}
	at := func(field string) time.Time {
		if f[field] == "" {
			return time.Time{}
		}
		return millis(f[field])
	}
	b := tasks.Batch{
		Account: account, Name: name, Jobs: states(f), Codes: map[string]int64{},
		Started: at("started"), Completions: number("completions"),
	}
	var all int64
	for _, n := range b.Jobs {
		all += n
	}
	if number("closed") == all {
		b.Closed = at("closed_at")
	}
	if number("completed") == all {
		b.Completed = at("completed_at")
	}
	for field := range f {
		if code, ok := strings.CutPrefix(field, codeField); ok {
			b.Codes[code] = number(field)
		}
	}
	return b
}

// stateArgs are how many states are not final, those, and the final ones.
func stateArgs() []any {
	var open, final []any
	for _, s := range tasks.States() {
		if s.Final() {
			final = append(final, string(s))
		} else {
			open = append(open, string(s))
		}
	}
	return append(append([]any{len(open)}, open...), final...)
}

// CloseBatch notes that the last job of a batch was sent in an account. If none of
// its jobs is open, the batch is completed by that, and the number of the completion
// is returned; it is then to be delivered. Else, and if the account has no job of it, the
// number is 0. Closing again changes nothing, unless there are more jobs than then,
// and returns the number again for as long as it is owed.
func (l *Ledger) CloseBatch(ctx context.Context, account, name string) (completion int64, err error) {
	lane := laneOf(account)
	keys := []string{lane.batch(name), lane.completions(name), lane.owedBatches(), lane.deadBatches()}
	args := append([]any{name, l.keep.Milliseconds()}, stateArgs()...)
	completion, err = closeScript.Run(ctx, l.rdb, keys, args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("ledger: closing batch %q of account %s: %w", name, account, err)
	}
	return completion, nil
}

// Completion reads one completion of a batch. Its errors wrap [tasks.ErrNotFound],
// also if it was delivered and there was another after it, and [tasks.ErrUnreadable].
func (l *Ledger) Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error) {
	number := strconv.FormatInt(ref.Completion, 10)
	f, err := l.rdb.HMGet(ctx, laneOf(ref.Account).completions(ref.Batch), number, number+":callback").Result()
	if err != nil {
		return tasks.Completion{}, fmt.Errorf("ledger: reading completion %s: %w", ref, err)
	}
	facts, there := f[0].(string)
	if !there {
		return tasks.Completion{}, fmt.Errorf("ledger: completion %s: %w", ref, tasks.ErrNotFound)
	}
	var pairs []string
	c := tasks.Completion{BatchRef: ref, Callback: tasks.CallbackProgress{State: tasks.CallbackOwed}}
	err = json.Unmarshal([]byte(facts), &pairs)
	if progress, noted := f[1].(string); noted {
		c.Version, c.Callback = progress, tasks.CallbackProgress{}
		err = errors.Join(err, strict([]byte(progress), &c.Callback))
		err = errors.Join(err, checkCallback(c.Callback))
	}
	if err != nil {
		return tasks.Completion{}, fmt.Errorf("ledger: completion %s: %w", ref, tasks.ErrUnreadable)
	}
	fields := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = pairs[i+1]
	}
	c.Facts = decodeBatch(ref.Account, ref.Batch, fields)
	return c, nil
}

// UpdateCompletion writes how far the delivery of a completion got, if no process has
// written that since it was read. Its errors wrap [tasks.ErrNotFound] and [tasks.ErrConflict]. Like
// [Ledger.Transition] it tries for as long as ctx allows.
func (l *Ledger) UpdateCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error {
	lane := laneOf(c.Account)
	write, err := json.Marshal(to)
	if err != nil {
		return fmt.Errorf("ledger: encoding the callback of %s: %w", c.BatchRef, err)
	}
	keys := []string{lane.batch(c.Batch), lane.completions(c.Batch), lane.owedBatches(), lane.deadBatches()}
	reply, err := persist(ctx, func(ctx context.Context) ([]string, error) {
		s, err := completionScript.Run(ctx, l.rdb, keys,
			c.Batch, c.BatchRef.Completion, c.Version, write, string(to.State), l.keep.Milliseconds()).Text()
		return []string{s}, err
	})
	switch {
	case err != nil:
	case reply[0] == "missing":
		err = tasks.ErrNotFound
	case reply[0] == "conflict":
		err = tasks.ErrConflict
	default:
		return nil
	}
	return fmt.Errorf("ledger: recording the delivery of %s: %w", c.BatchRef, err)
}

// OwedBatches pages through the account's completions whose callback has been owed
// for at least age, as [tasks.BatchRef.Key] names them.
func (l *Ledger) OwedBatches(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error] {
	return l.pages(ctx, account, OwedBatches, age)
}

// batchOf is the batch in the key of a completion.
func batchOf(key string) string {
	if at := strings.LastIndexByte(key, '#'); at >= 0 {
		return key[:at]
	}
	return key
}
