package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Books is what the sweeper reads of the ledger. The pages hold job IDs.
type Books interface {
	Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error)
	// Lead takes, or keeps, the lock of a duty for an account for d, and says
	// whether it is held.
	Lead(ctx context.Context, account, duty string, d time.Duration) (bool, error)
	// CountUnfinished counts the account's jobs that need a task, and Unfinished
	// pages through those that have stood in their state for at least age.
	CountUnfinished(ctx context.Context, account string) (int64, error)
	Unfinished(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error]
	// Owed pages through the jobs whose callback has been owed for at least age.
	// OwedBatches does it for the completions of batches, as [tasks.BatchRef.Key] names them.
	Owed(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error]
	OwedBatches(ctx context.Context, account string, age time.Duration) iter.Seq2[[]string, error]
	// Trim drops what points at records that have expired.
	Trim(ctx context.Context, account string) error
}

// Tasks is what the sweeper does to the queue.
type Tasks interface {
	// Survey counts the tasks that are on their way to a worker, and returns the
	// IDs of those that the queue will not run again by itself.
	Survey(ctx context.Context, account string) (live int64, archived, unleased []string, err error)
	// Requeue, RequeueCallbacks and RequeueBatches make sure that each job, or
	// completion, of the pages has a task on its way, and return how many had none.
	Requeue(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error)
	RequeueCallbacks(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error)
	RequeueBatches(ctx context.Context, account string, pages iter.Seq2[[]string, error]) (int, error)
}

// Sweeper puts back what the queue has lost: it may lose any task, and the job
// still ends. One process at a time sweeps an account.
type Sweeper struct {
	Accounts []string
	Books    Books
	Tasks    Tasks
	// Log defaults to discarding.
	Log *slog.Logger
	// Swept is told of what was put back: task_lost, archived, no_lease or
	// callback_owed. It may be nil.
	Swept func(kind string, n int)
	// Every is the time between two sweeps. Defaults to 30 s.
	Every time.Duration
	// Full is the time between two sweeps that look at every job even though the
	// numbers of jobs and tasks agree. Defaults to 10 min.
	Full time.Duration
}

// grace is how long a job may be without a task before that means a loss: a
// worker may be between its step and its word to the queue.
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
			lead, err := s.Books.Lead(ctx, account, "sweep", 3*s.Every)
			if lead {
				begin := time.Now()
				whole := begin.Sub(full[account]) >= s.Full
				err = s.Sweep(ctx, account, whole)
				if err == nil && whole {
					full[account] = begin
				}
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				s.Log.Warn("sweeping", "account", account, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep puts back what one account has lost. whole makes it look at every job,
// even if there are as many tasks as jobs that need one.
func (s Sweeper) Sweep(ctx context.Context, account string, whole bool) error {
	s = s.withDefaults()
	jobs, err := s.Books.CountUnfinished(ctx, account)
	if err != nil {
		return err
	}
	live, archived, unleased, err := s.Tasks.Survey(ctx, account)
	if err != nil {
		return err
	}
	back := func(kind string, pages iter.Seq2[[]string, error]) error {
		n, err := s.Tasks.Requeue(ctx, account, pages)
		s.swept(account, kind, n)
		return err
	}
	errs := []error{
		back("archived", s.ours(ctx, account, archived)),
		back("no_lease", s.ours(ctx, account, unleased)),
	}
	if whole || jobs > live {
		errs = append(errs, back("task_lost", s.Books.Unfinished(ctx, account, grace)))
	}
	n, err := s.Tasks.RequeueCallbacks(ctx, account, s.Books.Owed(ctx, account, grace))
	s.swept(account, "callback_owed", n)
	errs = append(errs, err)
	n, err = s.Tasks.RequeueBatches(ctx, account, s.Books.OwedBatches(ctx, account, grace))
	s.swept(account, "callback_owed", n)
	errs = append(errs, err, s.Books.Trim(ctx, account))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("worker: sweeping account %s: %w", account, err)
	}
	return nil
}

// ours is a page of those tasks that have a job. What has none was put into the
// queue by somebody else, or its record is gone; it stays where it is.
func (s Sweeper) ours(ctx context.Context, account string, ids []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var known []string
		for _, id := range ids {
			_, err := s.Books.Get(ctx, tasks.Ref{Account: account, ID: id})
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

func (s Sweeper) swept(account, kind string, n int) {
	if n == 0 {
		return
	}
	s.Log.Warn("put back what the queue had lost", "account", account, "kind", kind, "jobs", n)
	if s.Swept != nil {
		s.Swept(kind, n)
	}
}
