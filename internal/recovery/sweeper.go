package recovery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// SweepStore is what the sweeper reads of the ledger. The pages hold job IDs.
type SweepStore interface {
	Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error)
	// TryLock takes or renews the lock of a duty for an account for d, and reports whether
	// this process holds it.
	TryLock(ctx context.Context, account, duty string, d time.Duration) (bool, error)
	// CountUnfinished counts the account's jobs that need a task, and Unfinished
	// pages through those that have been in their state for at least age.
	CountUnfinished(ctx context.Context, account string) (int64, error)
	Unfinished(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error]
	// PendingCallbacks pages through the jobs whose callback has been owed for at least age.
	// OwedBatches does the same for the completions of batches, by [tasks.BatchRef.Key].
	PendingCallbacks(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error]
	OwedBatches(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error]
	// Prune drops index entries of records that have expired.
	Prune(ctx context.Context, account string) error
}

// SweepQueue is what the sweeper does to asynq's queues.
type SweepQueue interface {
	// Survey counts the tasks that are on their way to a worker, and returns the
	// IDs of those that asynq does not run again by itself.
	Survey(ctx context.Context, account string) (live int64, archived, unleased []string, err error)
	// Requeue, RequeueCallbacks and RequeueBatches make sure that each job, or
	// completion, of the pages has a task on its way, and return how many had none.
	Requeue(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error)
	RequeueCallbacks(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error)
	RequeueBatches(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error)
}

// Sweeper queues the tasks that asynq has lost: it may lose any task, and the job still
// ends. One process at a time sweeps an account.
type Sweeper struct {
	Accounts []string
	Store    SweepStore
	Queue    SweepQueue
	// Log defaults to discarding.
	Log *slog.Logger
	// OnSwept is called with what was queued again: task_lost, archived, no_lease or
	// callback_owed. It may be nil.
	OnSwept func(kind string, n int)
	// Every is the time between two sweeps. Defaults to 30 s.
	Every time.Duration
	// Full is the time between two sweeps that check every job even though the
	// numbers of jobs and tasks agree. Defaults to 10 min.
	Full time.Duration
}

// grace is how long a job may have no task before the task counts as lost: a worker may
// have written the record and not yet acknowledged the task.
const grace = time.Minute

func (s Sweeper) withDefaults() Sweeper {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Every == 0 {
		s.Every = 30 * time.Second
	}
	if s.Full == 0 {
		s.Full = 10 * time.Minute
	}
	return s
}

// Run sweeps until ctx ends.
func (s Sweeper) Run(ctx context.Context) {
	s = s.withDefaults()
	full := map[string]time.Time{}
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		for _, account := range s.Accounts {
			lead, err := s.Store.TryLock(ctx, account, "sweep", 3*s.Every)
			if lead {
				start := time.Now()
				whole := start.Sub(full[account]) >= s.Full
				err = s.Sweep(ctx, account, whole)
				if err == nil && whole {
					full[account] = start
				}
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				s.Log.Warn("cannot look for lost tasks; the next sweep tries again", "account", account, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep queues the lost tasks of one account. whole makes it check every job, even if
// there are as many tasks as jobs that need one.
func (s Sweeper) Sweep(ctx context.Context, account string, whole bool) error {
	s = s.withDefaults()
	jobs, err := s.Store.CountUnfinished(ctx, account)
	if err != nil {
		return err
	}
	live, archived, unleased, err := s.Queue.Survey(ctx, account)
	if err != nil {
		return err
	}
	requeue := func(kind string, pages iter.Seq2[[]string, error]) error {
		n, err := s.Queue.Requeue(ctx, account, pages)
		s.report(account, kind, n)
		return err
	}
	errs := []error{
		requeue("archived", s.withRecord(ctx, account, archived)),
		requeue("no_lease", s.withRecord(ctx, account, unleased)),
	}
	if whole || jobs > live {
		errs = append(errs, requeue("task_lost", s.Store.Unfinished(ctx, account, grace)))
	}
	n, err := s.Queue.RequeueCallbacks(ctx, account, s.Store.PendingCallbacks(ctx, account, grace))
	s.report(account, "callback_owed", n)
	errs = append(errs, err)
	n, err = s.Queue.RequeueBatches(ctx, account, s.Store.OwedBatches(ctx, account, grace))
	s.report(account, "callback_owed", n)
	errs = append(errs, err, s.Store.Prune(ctx, account))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("recovery: sweeping account %s: %w", account, err)
	}
	return nil
}

// withRecord is a page of those tasks that have a record. A task without one belongs to
// another program, or its record has expired; it stays where it is.
func (s Sweeper) withRecord(ctx context.Context, account string, ids []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var known []string
		for _, id := range ids {
			_, err := s.Store.Get(ctx, tasks.Ref{Account: account, ID: id})
			switch {
			case errors.Is(err, tasks.ErrNotFound):
			case err == nil || errors.Is(err, tasks.ErrUnreadable):
				known = append(known, id)
			default:
				yield(nil, err)
				return
			}
		}
		yield(known, nil)
	}
}

func (s Sweeper) report(account, kind string, n int) {
	if n == 0 {
		return
	}
	s.Log.Warn("queued again what asynq had lost", "account", account, "kind", kind, "jobs", n)
	if s.OnSwept != nil {
		s.OnSwept(kind, n)
	}
}
