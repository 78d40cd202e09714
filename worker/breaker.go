package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/camsq/camsq/internal/backoff"
	"github.com/camsq/camsq/tasks"
)

// blockedDelay is how long a job stays away from an account that is paused or refused.
// Then it is in the queue again, where the gate keeps it.
const blockedDelay = 5 * time.Second

// change applies what this process has just learned, before other processes report it.
func (l *lane) change(apply func()) {
	l.mu.Lock()
	apply()
	block := l.block()
	l.mu.Unlock()
	l.gate.SetBlock(block)
}

// setTrip opens the breaker in this process.
func (l *lane) setTrip(t *tasks.Trip) { l.change(func() { l.state.Trip = t }) }

type turnKey struct{}

// withTurnID gives a turn an ID, by which the breaker knows it: another turn of the same
// job may run beside it.
func withTurnID(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnKey{}, strconv.FormatUint(rand.Uint64(), 36))
}

// probeID identifies this turn of the job to the breaker.
func probeID(ctx context.Context, ref tasks.Ref) tasks.ProbeID {
	turn, _ := ctx.Value(turnKey{}).(string)
	return tasks.ProbeID{Ref: ref, Turn: turn}
}

// allow returns nil if the turn may call the API now, else a [*SnoozeError] or the error of
// Redis. A lookup of an earlier call's instance is allowed while the account is paused, and
// while the API refuses another action than lists: the worker must learn what an earlier
// call has created.
//
// Dies while it probes: the probe ends by itself after probeTime.
func (w *Worker) allow(ctx context.Context, l *lane, r tasks.Record, lookup bool) error {
	if err := w.fresh(ctx, l); err != nil {
		return err
	}
	again, id := refusedBefore(r), probeID(ctx, r.Ref())
	late := time.Duration(0)
	if again {
		late = refusedJobDelay
	}
	l.mu.Lock()
	paused, trip, local, wait, probing := l.state.Pause != nil, l.state.Trip, l.local, time.Until(l.heldUntil()), l.probing == id
	l.mu.Unlock()
	switch {
	case paused && !lookup:
		return &SnoozeError{blockedDelay, "the account is paused"}
	case trip == nil && (lookup && local.action != ActionList || l.allowLocal(id)):
		return nil
	case trip == nil:
		return &SnoozeError{blockedDelay, "the API refuses this worker and accepts others: " + local.code}
	case lookup && trip.Action != ActionList && !unreachable(*trip):
		return nil
	case wait <= -late || probing || !again && l.otherThanWitness(r.ID): // the probe's time begins anew with each of its calls
		ok, wait, err := w.cfg.Breaker.Probe(ctx, id, w.probeTime())
		if err != nil {
			return err
		}
		if ok {
			l.mu.Lock()
			l.probing, l.probingAgain = id, again
			l.mu.Unlock()
			return nil
		}
		later := *trip
		later.ProbeAt = time.Now().Add(l.clockSkew() + wait)
		later.Witness = "" // another turn probes: its result comes first
		l.setTrip(&later)
	}
	if trip.Away {
		return &SnoozeError{blockedDelay, "the API is unreachable or failing: " + trip.Code}
	}
	return &SnoozeError{blockedDelay, "the API refuses the account: " + trip.Code}
}

// refusedJobDelay is how much later than others a job probes that was refused before. The
// fault may be its own, and then its result says nothing about the account: a few such
// jobs, perhaps of high priority, would take every probe.
const refusedJobDelay = 2 * time.Second

// refusedBefore reports whether the API has refused the job with a code that may concern
// the account.
func refusedBefore(r tasks.Record) bool { return r.Refusals > 0 || r.Unknown > 0 }

// otherThanWitness reports whether exactly one job, and another one than this, has failed
// since the breaker opened. A process that was refused alone always gets false.
func (l *lane) otherThanWitness(job string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.state.Trip
	return t != nil && t.Witness != "" && t.Witness != job && l.local.othersOK.IsZero()
}

func (l *lane) allowLocal(id tasks.ProbeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.local.allow(id, time.Now())
}

// probeTime is how long a probe keeps others from probing if its process dies: more than
// its wait for the quota and one call take, except on a very slow account.
func (w *Worker) probeTime() time.Duration { return 2*w.cfg.CallTimeout + settleTime }

// onRefusal opens the breaker, or keeps it open.
func (w *Worker) onRefusal(ctx context.Context, l *lane, ref tasks.Ref, t tasks.Trip) {
	id := probeID(ctx, ref)
	l.mu.Lock()
	known, probing, local := l.state.Trip, l.probing == id, l.local
	l.local.action, l.local.code = t.Action, t.Code
	first := known == nil && !local.until.After(time.Now())
	alone := first && local.refusedAlone(time.Now(), othersOKFor*w.cfg.RetryMax)
	var next time.Duration
	if first && !alone || known != nil && probing {
		t.Since, t.Probes, t.Witness = time.Now().Add(l.skew), 1, ref.ID
		if known != nil {
			t.Probes = known.Probes + 1
			if known.Away == t.Away { // otherwise another fault begins now
				t.Since = known.Since
			}
			if known.Witness != ref.ID && !l.probingAgain { // otherwise no other job has failed in this probe
				t.Witness = ""
			}
		}
		next = w.nextProbe(t)
		t.ProbeAt = time.Now().Add(l.skew + next)
		l.changes++
		l.state.Trip = &t // at once, so that of calls that fail together only one opens the breaker
	}
	l.mu.Unlock()
	switch {
	case alone:
		w.onRefusalAlone(ctx, l, t)
		return
	case next == 0:
		return // a call that was in flight when the breaker opened says nothing new
	}
	l.endProbe(id)
	l.setTrip(&t)
	w.logTrip(ctx, l, t, known, next)
	err := w.cfg.Breaker.Trip(ctx, id, t, next)
	w.logBreaker(ctx, l, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
	if err == nil {
		l.local.onPublished(time.Now())
	}
}

// awayProbe bounds the time between two probes of an unreachable API: a probe costs little,
// and everything waits for it.
const awayProbe = 30 * time.Second

func (w *Worker) nextProbe(t tasks.Trip) time.Duration {
	highest := w.cfg.RetryMax
	if t.Away {
		highest = min(highest, max(awayProbe, 5*w.cfg.RetryMin))
	}
	return backoff.Delay(t.Probes, min(5*w.cfg.RetryMin, highest), highest)
}

// onSuccess closes the breaker if this turn is the probe, and the action is the one that
// was refused, or a create, which needs the most rights.
func (w *Worker) onSuccess(ctx context.Context, l *lane, ref tasks.Ref, action string) {
	id := probeID(ctx, ref)
	l.resetLocal(action)
	l.endStreak(action)
	l.mu.Lock()
	trip := l.state.Trip
	proved := l.probing == id && (trip == nil || trip.Action == action || action == ActionCreate || unreachable(*trip))
	l.mu.Unlock()
	if !proved {
		return
	}
	l.endProbe(id)
	l.change(func() { l.state.Trip, l.local = nil, localBackoff{}; l.changes++ })
	w.logClosed(ctx, l, trip, action)
	w.logBreaker(ctx, l, w.cfg.Breaker.CloseBreaker(ctx, id))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes++
}

// abortProbe ends the probe of a turn that proved nothing.
func (w *Worker) abortProbe(ctx context.Context, l *lane, ref tasks.Ref) {
	id := probeID(ctx, ref)
	l.mu.Lock()
	l.local.release(id)
	l.mu.Unlock()
	if !l.endProbe(id) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	w.logBreaker(ctx, l, w.cfg.Breaker.AbortProbe(ctx, id, 5*w.cfg.RetryMin))
}

// logBreaker logs that the breaker's change could not be written: then other processes
// find out from the API themselves, or the probe ends by itself.
func (w *Worker) logBreaker(ctx context.Context, l *lane, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		w.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "cannot write the state of the account's breaker", slog.String("account", l.Account), slog.Any("error", err))
	}
}

// isProbing reports whether the turn is this process's probe.
func (l *lane) isProbing(id tasks.ProbeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probing == id
}

func (l *lane) endProbe(id tasks.ProbeID) (was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was = l.probing == id
	if was {
		l.probing = tasks.ProbeID{}
	}
	return was
}
