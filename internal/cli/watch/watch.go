package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

const (
	pollPause = 500 * time.Millisecond
	// pollTime bounds one round trip, awayTime how long Redis may be away.
	pollTime = 5 * time.Second
	awayTime = time.Minute
	// stillTime is how long nothing may happen until the operator is asked to check.
	stillTime = 30 * time.Second
)

var errStopped = errors.New("stopped")

// Source is what is followed: the jobs of files one by one, or batches by their counts.
type Source interface {
	// Counts counts the jobs by account, as of the last poll.
	Counts() map[string]inspect.StateCounts
	// Poll reads some of them again. It calls Redis through ask alone.
	Poll(ctx context.Context, ask retryFunc) error
	// Terminal reports whether no job changes by itself any more.
	Terminal() bool
}

// retryFunc runs one round trip, and again while Redis is away.
type retryFunc func(ctx context.Context, what func(context.Context) error) error

// follower polls a source until it is terminal.
type follower struct {
	Source
	Progress progress
	eta      *eta // may be nil
}

// New makes a follower of a source, which shows its progress on the Factory's stderr.
func New(f *cmdutil.Factory, a *app.App, c Source) *follower {
	var all int64
	for _, jobs := range c.Counts() {
		all += jobs.Sum()
	}
	return &follower{Source: c, Progress: newProgress(f.Stderr, int(all)), eta: newETA(a.Prospect)}
}

// Follow returns when the source is terminal. Its error is errStopped when ctx ends,
// or what Redis answered last.
func (f *follower) Follow(ctx context.Context) error {
	if f.Terminal() {
		return nil
	}
	moved, warned, before := time.Now(), false, ""
	for first := true; ; first = false {
		if err := f.show(ctx); err != nil {
			return err
		}
		if f.Terminal() {
			return nil
		}
		if !first && !sleep(ctx, pollPause) {
			return errStopped
		}
		if err := f.Poll(ctx, f.Retry); err != nil {
			return err
		}
		switch now := fmt.Sprint(f.Counts()); {
		case now != before || f.eta.allBlocked():
			moved, before = time.Now(), now
		case !warned && time.Since(moved) > stillTime:
			warned = true
			f.Progress.say("Nothing has happened for " + humanize.Duration(stillTime) + ". Is a worker running (camsq worker)? Jobs of a killed worker are picked up again within seconds. camsq status says more.")
		}
	}
}

// show prints the progress, and what has changed of the lanes.
func (f *follower) show(ctx context.Context) error {
	lanes := f.Counts()
	for _, line := range f.eta.update(ctx, lanes) {
		f.Progress.say(line)
	}
	if ctx.Err() != nil {
		return errStopped
	}
	f.Progress.show(inspect.Total(lanes), f.eta)
	return nil
}

// Retry asks again while Redis is away, for awayTime at most.
func (f *follower) Retry(ctx context.Context, what func(context.Context) error) error {
	var away time.Time
	for {
		asked := time.Now()
		try, cancel := context.WithTimeout(ctx, pollTime)
		err := what(try)
		cancel()
		switch {
		case ctx.Err() != nil:
			return errStopped
		case err == nil:
			if !away.IsZero() {
				f.Progress.say("Redis answers again.")
			}
			return nil
		case away.IsZero():
			away = asked
			f.Progress.say("Redis does not answer; waiting for it. The jobs are not lost.")
		case time.Since(away) >= awayTime:
			return err
		}
		if !sleep(ctx, pollPause) {
			return errStopped
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// batchSource follows batches by their counts, however many jobs they have.
type batchSource struct {
	ledger interface {
		BatchIn(ctx context.Context, accounts []string, name string) ([]*tasks.Batch, error)
	}
	batches []*tasks.Batch
	// moved is when the counts last changed.
	moved time.Time
}

// quietTime is how long a batch that is not closed must have no open job before
// it counts as settled: its producer may be between two jobs.
const quietTime = 10 * time.Second

func (c *batchSource) Counts() map[string]inspect.StateCounts {
	lanes := map[string]inspect.StateCounts{}
	for _, b := range c.batches {
		if lanes[b.Account] == nil {
			lanes[b.Account] = inspect.StateCounts{}
		}
		for s, n := range b.Jobs {
			lanes[b.Account][s] += n
		}
	}
	return lanes
}

func (c *batchSource) Terminal() bool {
	for _, b := range c.batches {
		if inspect.StateCounts(b.Jobs).Ended() < inspect.StateCounts(b.Jobs).Sum() || b.Closed.IsZero() && time.Since(c.moved) < quietTime {
			return false
		}
	}
	return true
}

func (c *batchSource) Poll(ctx context.Context, ask retryFunc) error {
	accounts := map[string][]string{}
	for _, b := range c.batches {
		accounts[b.Name] = append(accounts[b.Name], b.Account)
	}
	before := fmt.Sprint(c.Counts())
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
	if fmt.Sprint(c.Counts()) != before {
		c.moved = time.Now()
	}
	return nil
}

// Stopped prints that the command follows the jobs no longer, though they continue, and
// next. It returns the command's error.
func Stopped(f *cmdutil.Factory, a *app.App, err error, after time.Duration, jobs inspect.StateCounts, next string) error {
	fmt.Fprintf(f.Stdout, "No longer followed, after %s: %s: %s\n", humanize.Duration(after), humanize.Plural(jobs.Sum(), "job"), jobs)
	fmt.Fprint(f.Stdout, next)
	if err == errStopped {
		return exit.ErrSomeFailed
	}
	return exit.Unreachablef("Redis at %s has not answered for %s; the jobs go on as soon as it does: %w", a.Config.RedisHost(), humanize.Duration(awayTime), err)
}
