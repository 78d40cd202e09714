package worker

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/tasks"
)

// A poll tells what Redis knew when it was asked. One that began before this process itself
// opened or closed the breaker does not undo that, though both have the same time.
func TestAPollThatBeganBeforeAChangeDoesNotUndoIt(t *testing.T) {
	now, code := time.Now(), "NoPermission"
	for name, tt := range map[string]struct {
		after bool // the poll began after the change
		want  string
	}{
		"before": {false, code},
		"after":  {true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lane{Lane: Lane{Account: "acme"}, gate: gate.New(5, 5, t.Context().Done())}
			changes := l.changeCount()
			l.change(func() { l.state.Trip = &tasks.Trip{Code: code}; l.changes++ })
			if tt.after {
				changes = l.changeCount()
			}
			l.update(now, changes, tasks.Lane{Now: now}, tasks.Depth{})
			got := ""
			if l.state.Trip != nil {
				got = l.state.Trip.Code
			}
			if got != tt.want {
				t.Errorf("after the poll the breaker is open for %q, want %q", got, tt.want)
			}
		})
	}
}

// closingBreaker lets every turn probe, and records nothing.
type closingBreaker struct{}

func (closingBreaker) Trip(context.Context, tasks.ProbeID, tasks.Trip, time.Duration) error {
	return nil
}
func (closingBreaker) Probe(context.Context, tasks.ProbeID, time.Duration) (bool, time.Duration, error) {
	return true, 0, nil
}
func (closingBreaker) CloseBreaker(context.Context, tasks.ProbeID) error              { return nil }
func (closingBreaker) AbortProbe(context.Context, tasks.ProbeID, time.Duration) error { return nil }

// The breaker that this process's own probe closes does not show that the API accepts
// another process: the next refusal concerns the account, and opens the breaker again.
func TestAProbeOfItsOwnIsNotAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{cfg: Config{Breaker: closingBreaker{}, Log: slog.New(slog.DiscardHandler), RetryMin: time.Second, RetryMax: 5 * time.Minute}}
		l := &lane{Lane: Lane{Account: "acme"}, gate: gate.New(5, 5, t.Context().Done()), streaks: map[string]*streak{}}
		turn := func(job string) (context.Context, tasks.Ref) {
			return withTurnID(t.Context()), tasks.Ref{Account: "acme", ID: job}
		}
		refuse := func(ctx context.Context, ref tasks.Ref, action string) {
			time.Sleep(time.Second)
			w.onRefusal(ctx, l, ref, tasks.Trip{Action: action, Code: "NoPermission"})
		}

		first, firstRef := turn("first")
		inFlight, inFlightRef := turn("in flight")
		prober, proberRef := turn("prober")
		refuse(first, firstRef, ActionList)
		refuse(inFlight, inFlightRef, ActionCreate) // it was under way when the lists opened the breaker
		if err := w.allow(prober, l, tasks.Record{Job: tasks.Job{Account: "acme", ID: "prober"}}, false); err != nil {
			t.Fatal(err)
		}
		w.onSuccess(prober, l, proberRef, ActionList)
		if l.state.Trip != nil {
			t.Fatal("the probe did not close the breaker")
		}
		time.Sleep(time.Second)
		l.update(time.Now(), l.changeCount(), tasks.Lane{Now: time.Now()}, tasks.Depth{})
		refuse(prober, proberRef, ActionCreate)
		if l.state.Trip == nil {
			t.Error("this process backs off alone, as if the API had accepted another one")
		}
	})
}
