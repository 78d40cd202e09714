package app

import (
	"context"
	"sync"
	"time"

	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/metrics"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// backlog lets the metrics ask the ledger and the limiter.
type backlog struct {
	app *App
	// turns is how long this process's turns take.
	turns *turnTimes
}

// Backlog counts what is still to be done, and reports how each account is paced, in
// a few round trips for each account.
func (b backlog) Backlog(ctx context.Context) ([]metrics.LaneBacklog, metrics.CallbackBacklog, error) {
	var callbacks metrics.CallbackBacklog
	names, err := b.app.AccountNames(ctx)
	if err != nil {
		return nil, callbacks, err
	}
	lanes, owed := make([]metrics.LaneBacklog, len(names)), make([]metrics.CallbackBacklog, len(names))
	errs := inspect.EachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		lanes[i], owed[i], err = b.of(ctx, names[i])
		return err
	})
	seen := false
	for i, err := range errs {
		if err != nil {
			lanes[i] = metrics.LaneBacklog{Account: names[i], Unknown: true}
			continue
		}
		seen = true
		callbacks.Owed += owed[i].Owed
		callbacks.Dead += owed[i].Dead
		callbacks.OldestOwed = max(callbacks.OldestOwed, owed[i].OldestOwed)
	}
	if !seen {
		return nil, callbacks, errs[0]
	}
	return lanes, callbacks, nil
}

// of is the backlog of one account.
func (b backlog) of(ctx context.Context, name string) (lane metrics.LaneBacklog, callbacks metrics.CallbackBacklog, err error) {
	o, err := b.app.Ledger.Overview(ctx, name)
	if err != nil {
		return lane, callbacks, err
	}
	f, err := b.app.LaneState(ctx, name)
	if err != nil {
		return lane, callbacks, err
	}
	lane = metrics.LaneBacklog{
		Account: name, Jobs: o.Jobs, Oldest: o.Oldest,
		Rate: f.Quota.Rate, Ceiling: worker.Pace(f.Rate()), Paused: f.Pause != nil,
		Desired: f.DesiredWorkers(o.Jobs[tasks.StateQueued], b.turns.of(name), b.app.Config.Concurrency(name)),
	}
	if o.Jobs[tasks.StateCalling]+o.Jobs[tasks.StateUncertain]+o.PendingCallbacks > 0 {
		lane.Desired = max(lane.Desired, 1) // to look up what was created, and to deliver it
	}
	if f.Trip != nil {
		lane.TrippedBy, lane.Away = humanize.Or(f.Trip.Code, "none"), f.Trip.Away
	}
	return lane, metrics.CallbackBacklog{Owed: o.PendingCallbacks, Dead: o.DeadCallbacks, OldestOwed: o.OldestPending}, nil
}

// turnTimes estimates how long the turns of each account take in this process.
type turnTimes struct {
	mu    sync.Mutex
	calls map[string]time.Duration
}

// record takes in one call: the last ones count most.
func (t *turnTimes) record(a tasks.Attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[string]time.Duration{}
	}
	if last, known := t.calls[a.Account]; known {
		t.calls[a.Account] = last + (a.Took-last)/16
	} else {
		t.calls[a.Account] = a.Took
	}
}

// of is the time of a turn: two calls, and the wait for the quota that a worker
// keeps its turns in. An account that has made no call here counts as one of calls
// of a second.
func (t *turnTimes) of(account string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	call, known := t.calls[account]
	if !known {
		call = time.Second
	}
	return 2*call + gate.Ahead
}
