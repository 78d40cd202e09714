package recovery_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/tasks"
)

// snooze is the error of a job that comes back later.
type snooze struct{}

func (snooze) Error() string         { return "later" }
func (snooze) Snooze() time.Duration { return time.Second }

type unresolved struct {
	due  []string
	lead bool
}

func (d unresolved) AccountsWithUnresolved(_ context.Context, accounts []string) ([]string, error) {
	return accounts, nil
}

func (d unresolved) UnresolvedDue(context.Context, string, int) ([]string, error) { return d.due, nil }

func (d unresolved) TryLock(context.Context, string, string, time.Duration) (bool, error) {
	return d.lead, nil
}

// Only the process that leads gives turns, since each costs a list of the quota.
func TestOnlyTheLeaderReconciles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, lead := range []bool{false, true} {
			var mu sync.Mutex
			turns := map[string]int{}
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			recovery.Reconciler{
				Accounts: []string{"acme"}, Store: unresolved{due: []string{"a", "b"}, lead: lead},
				Process: func(_ context.Context, ref tasks.Ref) error {
					mu.Lock()
					defer mu.Unlock()
					turns[ref.String()]++
					return snooze{}
				},
			}.Run(ctx)
			cancel()
			n := 0
			if lead {
				n = 3 // at 0 s, 1 s and 2 s
			}
			want(t, "turns of a", turns["acme/a"], n)
			want(t, "turns of b", turns["acme/b"], n)
		}
	})
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
