package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// own is what the API has said to this process. One that it refuses again after it has
// let others in has a key, a clock or a proxy that is wrong here: it holds itself back,
// and the lane stays open for the others.
type own struct {
	action, code string        // what was refused last; "" once the API has taken a call of this process
	told         time.Time     // when Redis knew that the lane has tripped, until others are let in
	alone        time.Time     // when others had been let in after that
	refusals     int           // since then
	until        time.Time     // no call before, and then one at a time
	trying       tasks.ProbeID // the turn that makes it
}

// aloneFor times RetryMax is how long it counts that others were let in. After that the
// account may be refused, and all must know: at worst it stands still for a moment.
const aloneFor = 2

// shy is by how much a process that was refused comes later to a probe than one that was
// not, and a process that was refused alone than one that was not.
const (
	shy      = 500 * time.Millisecond
	shyAlone = 5 * time.Second
)

// heldUntil is when this process may call again, one call at a time; or zero. The
// caller has the lock.
func (l *lane) heldUntil() time.Time {
	if l.seen.Trip == nil {
		return l.own.until
	}
	at := l.here(l.seen.Trip.ProbeAt)
	switch {
	case !l.own.alone.IsZero():
		return at.Add(shyAlone)
	case l.own.action != "":
		return at.Add(shy)
	}
	return at
}

// seenOpen notes that the lane was open at some moment after asked. The caller has the
// lock.
func (o *own) seenOpen(asked time.Time) {
	if !o.told.IsZero() && asked.After(o.told) {
		o.told, o.alone = time.Time{}, asked
	}
}

// mayTry says whether a turn may call, as far as this process holds itself back.
func (l *lane) mayTry(turn tasks.ProbeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.own
	switch {
	case o.until.IsZero():
		return true
	case o.until.After(time.Now()), o.trying != (tasks.ProbeID{}) && o.trying != turn:
		return false
	}
	o.trying = turn
	return true
}

func (l *lane) endTry(turn tasks.ProbeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own.trying == turn {
		l.own.trying = tasks.ProbeID{}
	}
}

// toldAll notes that Redis knows of what this process was refused.
func (l *lane) toldAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own.action != "" { // or the API has taken a call meanwhile
		l.own.told = time.Now()
	}
}

// refusedAlone holds this process back, and no other.
func (w *Worker) refusedAlone(ctx context.Context, l *lane, t tasks.Trip) {
	var next time.Duration
	l.hear(func() {
		l.own.refusals++
		next = backoffDelay(l.own.refusals, 5*w.cfg.RetryMin, w.cfg.RetryMax)
		l.own.until = time.Now().Add(next)
	})
	w.cfg.Log.LogAttrs(ctx, slog.LevelError, "the API refuses this worker, and no other: its own key, clock or proxy is wrong",
		slog.String("account", l.Account), slog.String("action", t.Action), slog.String("code", t.Code), slog.Duration("next_try", next))
}

// forgive forgets what the API refused to this process, once it takes the same, or a
// create, which needs most.
func (l *lane) forgive(action string) {
	l.mu.Lock()
	refused := l.own.action
	l.mu.Unlock()
	if refused != "" && (refused == action || action == ActionCreate) {
		l.hear(func() { l.own = own{} })
	}
}
