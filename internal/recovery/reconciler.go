package recovery

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// UnresolvedStore is what the reconciler reads of the ledger.
type UnresolvedStore interface {
	// AccountsWithUnresolved returns the accounts that have calling or uncertain jobs, at
	// little cost for each. An error is that of accounts that could not be read; the others are returned.
	AccountsWithUnresolved(ctx context.Context, accounts []string) ([]string, error)
	// UnresolvedDue returns up to n of the account's jobs that are calling or uncertain
	// and due, those first that have been so the longest.
	UnresolvedDue(ctx context.Context, account string, n int) ([]string, error)
	// TryLock is that of [SweepStore].
	TryLock(ctx context.Context, account, duty string, d time.Duration) (bool, error)
}

// Reconciler processes calling and uncertain jobs as soon as they are due. Their tasks
// would bring them back too, but asynq puts a task that comes back behind all that wait,
// and takes a dead worker's task back after a minute or two: during a long import a lost
// answer would be looked up hours later. The ledger decides, so to process a job beside
// its own task is harmless.
type Reconciler struct {
	Accounts []string
	Store    UnresolvedStore
	// Process takes a job as far as it can be taken now. An error with a method
	// Snooze() time.Duration is no failure.
	Process func(ctx context.Context, ref tasks.Ref) error
	// Log defaults to discarding.
	Log *slog.Logger
	// Every is the time between two rounds. Defaults to 1 s.
	Every time.Duration
}

// lockTime is how long a dead process keeps others from reconciling an account.
const lockTime = 4 * time.Second

// atOnce is how many jobs of one account are processed at once. The account's quota for
// lists paces them.
const atOnce = 16

// Run reconciles until ctx ends. A slow account delays no other.
func (r Reconciler) Run(ctx context.Context) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Every == 0 {
		r.Every = time.Second
	}
	var rounds sync.WaitGroup
	defer rounds.Wait()
	var busy sync.Map // the accounts whose last round has not ended
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for failing := false; ; {
		accounts, err := r.Store.AccountsWithUnresolved(ctx, r.Accounts)
		if err != nil && !failing && ctx.Err() == nil {
			r.Log.Warn("cannot read which accounts have uncertain jobs; waiting for Redis", "error", err)
		}
		failing = err != nil
		for _, account := range accounts {
			if _, going := busy.LoadOrStore(account, true); going {
				continue
			}
			rounds.Go(func() {
				defer busy.Delete(account)
				if err := r.round(ctx, account); err != nil && ctx.Err() == nil {
					r.Log.Warn("cannot reconcile the account; the next round tries again", "account", account, "error", err)
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round processes the due jobs of an account once. An account without any takes no lock.
func (r Reconciler) round(ctx context.Context, account string) error {
	ids, err := r.Store.UnresolvedDue(ctx, account, atOnce)
	if err != nil || len(ids) == 0 {
		return err
	}
	if lead, err := r.Store.TryLock(ctx, account, "reconcile", lockTime); err != nil || !lead {
		return err
	}
	var turns sync.WaitGroup
	for _, id := range ids {
		turns.Go(func() {
			ref := tasks.Ref{Account: account, ID: id}
			err := r.Process(ctx, ref)
			if _, later := errors.AsType[snoozer](err); err != nil && !later && ctx.Err() == nil {
				r.Log.Warn("cannot reconcile the job; the next round tries again", "job", ref.String(), "error", err)
			}
		})
	}
	turns.Wait()
	return nil
}
