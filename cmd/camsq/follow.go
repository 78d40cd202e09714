package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

const (
	lookPause = 500 * time.Millisecond
	// lookTime bounds one round trip, awayTime how long Redis may be away.
	lookTime = 5 * time.Second
	awayTime = time.Minute
	// stillTime is how long nothing may happen before somebody is asked to look.
	stillTime = 30 * time.Second
)

var errStopped = errors.New("stopped")

func isNotFound(err error) bool { return errors.Is(err, tasks.ErrNotFound) }

// crowd is what is followed: the jobs of files one by one, or batches by their counts.
type crowd interface {
	// stand counts the jobs by account, as they were seen last.
	stand() map[string]tally
	// look looks at some of them again. It asks Redis through ask alone.
	look(ctx context.Context, ask asking) error
	// settled says whether nothing goes further by itself.
	settled() bool
}

// asking runs one round trip, and again while Redis is away.
type asking func(ctx context.Context, what func(context.Context) error) error

// follower watches a crowd until it has settled.
type follower struct {
	crowd
	progress progress
	outlook  *outlook // may be nil
}

func (p *program) newFollower(n *node, c crowd) *follower {
	var all int64
	for _, jobs := range c.stand() {
		all += jobs.sum()
	}
	return &follower{crowd: c, progress: newProgress(p.stderr, int(all)), outlook: newOutlook(n.prospect)}
}

// follow returns when the crowd has settled. Its error is errStopped when ctx ends,
// or what Redis answered last.
func (f *follower) follow(ctx context.Context) error {
	if f.settled() {
		return nil
	}
	moved, told, before := time.Now(), false, ""
	for first := true; ; first = false {
		if err := f.show(ctx); err != nil {
			return err
		}
		if f.settled() {
			return nil
		}
		if !first && !pause(ctx, lookPause) {
			return errStopped
		}
		if err := f.look(ctx, f.ask); err != nil {
			return err
		}
		switch now := fmt.Sprint(f.stand()); {
		case now != before || f.outlook.heldBack():
			moved, before = time.Now(), now
		case !told && time.Since(moved) > stillTime:
			told = true
			f.progress.say("Nothing has happened for " + span(stillTime) + ". Is a worker running (camsq worker)? After one was killed, the jobs in its hands wait for up to two minutes. camsq status tells more.")
		}
	}
}

// show shows where the crowd stands, and tells what has changed of its lanes.
func (f *follower) show(ctx context.Context) error {
	lanes := f.stand()
	for _, line := range f.outlook.take(ctx, lanes) {
		f.progress.say(line)
	}
	if ctx.Err() != nil {
		return errStopped
	}
	f.progress.show(together(lanes), f.outlook)
	return nil
}

// together adds up the tallies of several accounts.
func together(lanes map[string]tally) tally {
	sum := tally{}
	for _, jobs := range lanes {
		for s, n := range jobs {
			sum[s] += n
		}
	}
	return sum
}

// ask asks again while Redis is away, for awayTime at most.
func (f *follower) ask(ctx context.Context, what func(context.Context) error) error {
	var away time.Time
	for {
		asked := time.Now()
		try, cancel := context.WithTimeout(ctx, lookTime)
		err := what(try)
		cancel()
		switch {
		case ctx.Err() != nil:
			return errStopped
		case err == nil:
			if !away.IsZero() {
				f.progress.say("Redis answers again.")
			}
			return nil
		case away.IsZero():
			away = asked
			f.progress.say("Redis does not answer; waiting for it. The jobs are not lost.")
		case time.Since(away) >= awayTime:
			return err
		}
		if !pause(ctx, lookPause) {
			return errStopped
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// batchCrowd follows batches by their counts, however many jobs they have.
type batchCrowd struct {
	ledger interface {
		BatchIn(ctx context.Context, accounts []string, name string) ([]*tasks.Batch, error)
	}
	batches []*tasks.Batch
	// moved is when the counts last changed.
	moved time.Time
}

// quietTime is how long a batch that nobody has closed must have no open job before
// it counts as settled: its producer may be between two jobs.
const quietTime = 10 * time.Second

func (c *batchCrowd) stand() map[string]tally {
	lanes := map[string]tally{}
	for _, b := range c.batches {
		if lanes[b.Account] == nil {
			lanes[b.Account] = tally{}
		}
		for s, n := range b.Jobs {
			lanes[b.Account][s] += n
		}
	}
	return lanes
}

func (c *batchCrowd) settled() bool {
	for _, b := range c.batches {
		if tally(b.Jobs).done() < tally(b.Jobs).sum() || b.Closed.IsZero() && time.Since(c.moved) < quietTime {
			return false
		}
	}
	return true
}

func (c *batchCrowd) look(ctx context.Context, ask asking) error {
	accounts := map[string][]string{}
	for _, b := range c.batches {
		accounts[b.Name] = append(accounts[b.Name], b.Account)
	}
	before := fmt.Sprint(c.stand())
	var now []*tasks.Batch
	for name := range accounts {
		err := ask(ctx, func(ctx context.Context) error {
			found, err := c.ledger.BatchIn(ctx, accounts[name], name)
			for _, b := range found {
				if b != nil { // else its counts have expired meanwhile
					now = append(now, b)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	c.batches = now
	if fmt.Sprint(c.stand()) != before {
		c.moved = time.Now()
	}
	return nil
}

// records is what is read of jobs; the ledger has it.
type records interface {
	GetMany(ctx context.Context, account string, ids []string) ([]ledger.Found, error)
}
