package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// The paces of an account with a quota. Calls that leave evenly arrive up to some
// 20 ms late, so a window of the server's may hold a call or two more than were
// meant for it: a hundredth less keeps practically all of them within the quota.
// The vendor states no limit for lists; a job looks once before its call, and a
// few times more after a lost answer.
const (
	createsPerQuota = 0.99
	looksPerCreate  = 2
)

// lane is a [Lane] and what this process knows of it.
type lane struct {
	Lane
	gate *gate

	mu   sync.Mutex
	seen tasks.Lane // as of the last look
	// skew is how far Redis's clock is ahead of this one.
	skew time.Duration
	// probing is the name of the turn that, here, is the probe; or "".
	probing string
}

func newLane(l Lane, stopping <-chan struct{}) *lane {
	n := &lane{Lane: l, gate: newGate(l.Rate, l.Concurrency, stopping)}
	n.setRate(l.Rate)
	return n
}

// Pace is how many creates a second an account makes that has a quota of rate.
func Pace(rate float64) float64 { return createsPerQuota * rate }

func (l *lane) setRate(rate float64) {
	l.Create.SetRate(Pace(rate))
	l.List.SetRate(looksPerCreate * Pace(rate))
}

// see takes in how the lane and its queues stand.
func (l *lane) see(now tasks.Lane, d tasks.Depth) {
	l.mu.Lock()
	limit := l.seen.Limit
	l.seen, l.skew = now, time.Until(now.Now)
	hold := l.holds()
	l.mu.Unlock()
	if now.Limit != limit {
		rate := now.Limit
		if rate == 0 {
			rate = l.Rate
		}
		l.setRate(rate)
	}
	l.gate.see(d, tasks.ProvisionQueue(l.Account), tasks.HighQueue(l.Account), hold)
}

// holds is what the lane's state means for the gate. The caller has the lock.
func (l *lane) holds() hold {
	switch {
	case l.seen.Pause != nil:
		return hold{shut: true}
	case l.seen.Trip == nil:
		return hold{}
	}
	return hold{until: l.here(l.seen.Trip.ProbeAt), single: true}
}

// here is a time of Redis's clock on this one.
func (l *lane) here(t time.Time) time.Time { return t.Add(-l.skew) }

// tripped sets what this process has just learned, before anybody else tells it.
func (l *lane) tripped(t *tasks.Trip) {
	l.mu.Lock()
	l.seen.Trip = t
	hold := l.holds()
	l.mu.Unlock()
	l.gate.set(hold)
}

// heldBack is how long jobs stay out of a lane that is held back: then they stand
// in the queue, where the gate keeps them.
const heldBack = 5 * time.Second

type turnKey struct{}

// named gives a turn a name of its own. The breaker knows its prober by it, since
// another turn of the same job may run beside this one.
func named(ctx context.Context) context.Context {
	return context.WithValue(ctx, turnKey{}, strconv.FormatUint(rand.Uint64(), 36))
}

// asProber is the job as the breaker knows it in this turn. No job's ID has a #.
func asProber(ctx context.Context, ref tasks.Ref) tasks.Ref {
	name, _ := ctx.Value(turnKey{}).(string)
	ref.ID += "#" + name
	return ref
}

// permit says whether a turn may call the API now: nil, or a [*Later]. A look for
// the instance of an earlier call goes on while a person has paused the account,
// and while the API refuses something else than looks: what may have been made
// must be known.
//
// Dies while it probes: the probe ends by itself after probeTime.
func (w *Worker) permit(ctx context.Context, l *lane, ref tasks.Ref, looking bool) error {
	ref = asProber(ctx, ref)
	l.mu.Lock()
	paused, trip, probing := l.seen.Pause != nil, l.seen.Trip, l.probing == ref.ID
	wait := time.Duration(0)
	if trip != nil {
		wait = time.Until(l.here(trip.ProbeAt))
	}
	l.mu.Unlock()
	switch {
	case paused && !looking:
		return &Later{heldBack, "the account is paused"}
	case trip == nil, looking && trip.Action != ActionList:
		return nil
	case wait <= 0 || probing: // the prober's time begins anew with each of its calls
		ok, wait, err := w.Breaker.Probe(ctx, ref, w.probeTime())
		if err != nil {
			return err
		}
		if ok {
			l.mu.Lock()
			l.probing = ref.ID
			l.mu.Unlock()
			return nil
		}
		later := *trip
		later.ProbeAt = time.Now().Add(l.skewed() + wait)
		l.tripped(&later)
	}
	return &Later{heldBack, "the API refuses the account: " + trip.Code}
}

// probeTime is how long a dead prober keeps others from probing: more than its
// wait for the quota and one call take, but on a very slow account.
func (w *Worker) probeTime() time.Duration { return 2*w.CallTimeout + settleTime }

// refused opens the breaker, or keeps it open.
func (w *Worker) refused(ctx context.Context, l *lane, ref tasks.Ref, t tasks.Trip) {
	ref = asProber(ctx, ref)
	l.mu.Lock()
	known, probing := l.seen.Trip, l.probing == ref.ID
	l.mu.Unlock()
	if known != nil && !probing {
		return // a call that was under way says nothing new
	}
	t.Since, t.Probes = time.Now().Add(l.skewed()), 1
	if known != nil {
		t.Since, t.Probes = known.Since, known.Probes+1
	}
	next := backoffDelay(t.Probes, 5*w.RetryMin, w.RetryMax)
	t.ProbeAt = time.Now().Add(l.skewed() + next)
	l.endProbe(ref)
	l.tripped(&t)
	w.Log.LogAttrs(ctx, slog.LevelWarn, "the API refuses the account; its jobs wait", slog.String("account", l.Account),
		slog.String("action", t.Action), slog.String("code", t.Code), slog.Int("refusals", t.Probes), slog.Duration("next_probe", next))
	w.tellBreaker(ctx, l, w.Breaker.Trip(ctx, ref, t, next))
}

// letIn closes the breaker if this turn is the probe, and the action is the one
// that had been refused, or a create, which needs most.
func (w *Worker) letIn(ctx context.Context, l *lane, ref tasks.Ref, action string) {
	ref = asProber(ctx, ref)
	l.mu.Lock()
	trip := l.seen.Trip
	proved := l.probing == ref.ID && (trip == nil || trip.Action == action || action == ActionCreate)
	l.mu.Unlock()
	if !proved {
		return
	}
	l.endProbe(ref)
	l.tripped(nil)
	w.Log.LogAttrs(ctx, slog.LevelInfo, "the API lets the account in again", slog.String("account", l.Account), slog.String("action", action))
	w.tellBreaker(ctx, l, w.Breaker.Untrip(ctx, ref))
}

// unprobe ends the probe of a turn that proved nothing.
func (w *Worker) unprobe(ctx context.Context, l *lane, ref tasks.Ref) {
	ref = asProber(ctx, ref)
	if !l.endProbe(ref) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	w.tellBreaker(ctx, l, w.Breaker.Unprobe(ctx, ref, 5*w.RetryMin))
}

// tellBreaker reports a breaker that could not be told: other processes then ask
// the API themselves, or the probe ends by itself.
func (w *Worker) tellBreaker(ctx context.Context, l *lane, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		w.Log.LogAttrs(ctx, slog.LevelWarn, "the account's breaker", slog.String("account", l.Account), slog.Any("error", err))
	}
}

func (l *lane) endProbe(ref tasks.Ref) (was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was = l.probing == ref.ID
	if was {
		l.probing = ""
	}
	return was
}

func (l *lane) skewed() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skew
}
