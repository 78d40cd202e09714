package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/internal/backoff"
	"github.com/camsq/camsq/tasks"
)

// localBackoff keeps this process from calling when the API refuses it and accepts other
// processes: its key, its clock or its proxy is wrong. It backs off by itself, and the
// account's breaker stays closed for the others.
//
// It works in two steps. A refusal opens the breaker, and Redis publishes that. If the
// breaker is then seen closed, another process was accepted (othersOK). A refusal shortly
// after that is this process's own.
type localBackoff struct {
	action, code string        // the last refusal; "" once the API has accepted this process
	published    time.Time     // when Redis had recorded the refusal, until another process is accepted
	othersOK     time.Time     // when another process had been accepted after that
	refusals     int           // since then
	until        time.Time     // no call before this time, and then one at a time
	probing      tasks.ProbeID // the turn that makes it
}

// othersOKFor times RetryMax is how long othersOK counts. Later the account itself may be
// refused, and all processes must learn of it: at worst it stands still for a moment.
const othersOKFor = 2

// probeDelay keeps a process that was refused behind processes that were not, and
// probeDelayAlone keeps a process that was refused alone behind all others.
const (
	probeDelay      = 500 * time.Millisecond
	probeDelayAlone = 5 * time.Second
)

// probeAt returns when this process may probe an open breaker whose next probe is due at at.
func (b *localBackoff) probeAt(at time.Time) time.Time {
	switch {
	case !b.othersOK.IsZero():
		return at.Add(probeDelayAlone)
	case b.action != "":
		return at.Add(probeDelay)
	}
	return at
}

// onClosed records that the breaker was closed at some time after polled.
func (b *localBackoff) onClosed(polled time.Time) {
	if !b.published.IsZero() && polled.After(b.published) {
		b.published, b.othersOK = time.Time{}, polled
	}
}

// onPublished records that Redis knows of the refusal.
func (b *localBackoff) onPublished(now time.Time) {
	if b.action != "" { // or the API has accepted a call meanwhile
		b.published = now
	}
}

// refusedAlone reports whether a refusal at now is this process's own.
func (b *localBackoff) refusedAlone(now time.Time, within time.Duration) bool {
	return now.Sub(b.othersOK) < within
}

// extend backs off once more, for the returned time.
func (b *localBackoff) extend(now time.Time, lowest, highest time.Duration) time.Duration {
	b.refusals++
	next := backoff.Delay(b.refusals, lowest, highest)
	b.until = now.Add(next)
	return next
}

// allow reports whether the turn may call, and makes it the one that probes if this
// process backs off.
func (b *localBackoff) allow(id tasks.ProbeID, now time.Time) bool {
	switch {
	case b.until.IsZero():
		return true
	case b.until.After(now), b.probing != (tasks.ProbeID{}) && b.probing != id:
		return false
	}
	b.probing = id
	return true
}

// release ends the probe of the turn, if it is the one that probes.
func (b *localBackoff) release(id tasks.ProbeID) {
	if b.probing == id {
		b.probing = tasks.ProbeID{}
	}
}

// endedBy reports whether an accepted call of the action shows that the refusal is over: it
// is the action that was refused, or a create, which needs the most rights.
func (b *localBackoff) endedBy(action string) bool {
	return b.action != "" && (b.action == action || action == ActionCreate)
}

// heldUntil returns when this process may call again, one call at a time, or zero. The
// caller holds the lock.
func (l *lane) heldUntil() time.Time {
	if l.state.Trip == nil {
		return l.local.until
	}
	return l.local.probeAt(l.toLocal(l.state.Trip.ProbeAt))
}

// onRefusalAlone backs this process off, and no other.
func (w *Worker) onRefusalAlone(ctx context.Context, l *lane, t tasks.Trip) {
	var next time.Duration
	l.change(func() { next = l.local.extend(time.Now(), 5*w.cfg.RetryMin, w.cfg.RetryMax) })
	w.cfg.Log.LogAttrs(ctx, slog.LevelError, "the API refuses this worker and accepts others: check its access key, clock and proxy",
		slog.String("account", l.Account), slog.String("action", t.Action), slog.String("code", t.Code), slog.Duration("next_try", next))
}

// resetLocal ends the local backoff if a call of the action that was accepted ends it.
func (l *lane) resetLocal(action string) {
	l.mu.Lock()
	ended := l.local.endedBy(action)
	l.mu.Unlock()
	if ended {
		l.change(func() { l.local = localBackoff{} })
	}
}
