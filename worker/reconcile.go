package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Doubts is what the reconciler asks of the ledger.
type Doubts interface {
	// InDoubt returns those of the accounts that have jobs that are calling or
	// uncertain, at little cost for each. An error is of accounts that could not be
	// asked; the others are returned all the same.
	InDoubt(ctx context.Context, accounts []string) ([]string, error)
	// Doubtful returns up to n of the account's jobs that are calling or uncertain
	// and due, the longest in doubt first.
	Doubtful(ctx context.Context, account string, n int) ([]string, error)
	// Lead is that of [Books].
	Lead(ctx context.Context, account, duty string, d time.Duration) (bool, error)
}

// Reconciler gives a turn to jobs in doubt as soon as they are due. Their tasks
// would bring them back too, but asynq puts a task that comes back behind every
// one that waits, and takes a task of a dead worker back after a minute or two: in
// a night's import a lost answer would be looked up hours later. The ledger
// decides, so a turn beside the task's own is harmless.
type Reconciler struct {
	Accounts []string
	Doubts   Doubts
	// Turn is [Worker.Turn].
	Turn func(ctx context.Context, ref tasks.Ref) error
	// Log defaults to discarding.
	Log *slog.Logger
	// Every is the time between two looks. Defaults to 1 s.
	Every time.Duration
}

// leadTime is how long a dead process keeps others from reconciling.
const leadTime = 4 * time.Second

// atOnce is how many jobs in doubt of one account have their turn at once. The
// account's quota for lists paces them.
const atOnce = 16

// Run reconciles until ctx ends. An account that is slow holds up no other.
func (r Reconciler) Run(ctx context.Context) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Every == 0 {
		r.Every = time.Second
	}
	var rounds sync.WaitGroup
	defer rounds.Wait()
	var busy sync.Map // the accounts whose last round goes on
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	for failing := false; ; {
		accounts, err := r.Doubts.InDoubt(ctx, r.Accounts)
		if err != nil && !failing && ctx.Err() == nil {
			r.Log.Warn("looking for jobs in doubt", "error", err)
		}
		failing = err != nil
		for _, account := range accounts {
			if _, going := busy.LoadOrStore(account, true); going {
				continue
			}
			rounds.Go(func() {
				defer busy.Delete(account)
				if err := r.round(ctx, account); err != nil && ctx.Err() == nil {
					r.Log.Warn("reconciling", "account", account, "error", err)
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

// round gives one turn to those that are due. An account with none takes no lock.
func (r Reconciler) round(ctx context.Context, account string) error {
	ids, err := r.Doubts.Doubtful(ctx, account, atOnce)
	if err != nil || len(ids) == 0 {
		return err
	}
	if lead, err := r.Doubts.Lead(ctx, account, "reconcile", leadTime); err != nil || !lead {
		return err
	}
	var turns sync.WaitGroup
	for _, id := range ids {
		turns.Go(func() {
			ref := tasks.Ref{Account: account, ID: id}
			err := r.Turn(ctx, ref)
			if _, later := errors.AsType[*Later](err); err != nil && !later && ctx.Err() == nil {
				r.Log.Warn("reconciling", "job", ref.String(), "error", err)
			}
		})
	}
	turns.Wait()
	return nil
}
