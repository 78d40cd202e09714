package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/camsq/camsq/tasks"
)

// heldBack is how long jobs stay out of a lane that is held back: then they stand
// in the queue, where the gate keeps them.
const heldBack = 5 * time.Second

// hear takes in what this process has just learned, before anybody else tells it.
func (l *lane) hear(change func()) {
	l.mu.Lock()
	change()
	block := l.block()
	l.mu.Unlock()
	l.gate.SetBlock(block)
}

// tripped opens the breaker here.
func (l *lane) tripped(t *tasks.Trip) { l.hear(func() { l.seen.Trip = t }) }

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

// permit says whether a turn may call the API now: nil, or a [*SnoozeError]. A look for
// the instance of an earlier call goes on while a person has paused the account,
// and while the API refuses something else than looks: what may have been made
// must be known.
//
// Dies while it probes: the probe ends by itself after probeTime.
func (w *Worker) permit(ctx context.Context, l *lane, r tasks.Record, looking bool) error {
	if err := w.fresh(ctx, l); err != nil {
		return err
	}
	again, id := refusedBefore(r), probeID(ctx, r.Ref())
	late := time.Duration(0)
	if again {
		late = againLate
	}
	l.mu.Lock()
	paused, trip, mine, wait, probing := l.seen.Pause != nil, l.seen.Trip, l.own, time.Until(l.heldUntil()), l.probing == id
	l.mu.Unlock()
	switch {
	case paused && !looking:
		return &SnoozeError{heldBack, "the account is paused"}
	case trip == nil && (looking && mine.action != ActionList || l.mayTry(id)):
		return nil
	case trip == nil:
		return &SnoozeError{heldBack, "the API refuses this worker, and no other: " + mine.code}
	case looking && trip.Action != ActionList && !unreachable(*trip):
		return nil
	case wait <= -late || probing || !again && l.otherThanWitness(r.ID): // the prober's time begins anew with each of its calls
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
		later.ProbeAt = time.Now().Add(l.skewed() + wait)
		later.Witness = "" // another probes: its word comes first
		l.tripped(&later)
	}
	if trip.Away {
		return &SnoozeError{heldBack, "the API is away: " + trip.Code}
	}
	return &SnoozeError{heldBack, "the API refuses the account: " + trip.Code}
}

// againLate is by how much later than others a job comes to a probe that has been
// refused before. The fault may be its own, and then its word says nothing of the account:
// a few such jobs, of high priority perhaps, would take every probe.
const againLate = 2 * time.Second

// refusedBefore says whether answers have refused the job in words that may be about the
// account.
func refusedBefore(r tasks.Record) bool { return r.Refusals > 0 || r.Unknown > 0 }

// otherThanWitness says whether one job alone, and another one than this, has failed
// since the lane tripped. A process that was refused while others were not is shy.
func (l *lane) otherThanWitness(job string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.seen.Trip
	return t != nil && t.Witness != "" && t.Witness != job && l.own.alone.IsZero()
}

// probeTime is how long a dead prober keeps others from probing: more than its
// wait for the quota and one call take, but on a very slow account.
func (w *Worker) probeTime() time.Duration { return 2*w.cfg.CallTimeout + settleTime }

// refused opens the breaker, or keeps it open.
func (w *Worker) refused(ctx context.Context, l *lane, ref tasks.Ref, t tasks.Trip) {
	job, id := ref.ID, probeID(ctx, ref)
	l.mu.Lock()
	known, probing, mine := l.seen.Trip, l.probing == id, l.own
	l.own.action, l.own.code = t.Action, t.Code
	first := known == nil && !mine.until.After(time.Now())
	alone := first && time.Since(mine.alone) < aloneFor*w.cfg.RetryMax
	var next time.Duration
	if first && !alone || known != nil && probing {
		t.Since, t.Probes, t.Witness = time.Now().Add(l.skew), 1, job
		if known != nil {
			t.Probes = known.Probes + 1
			if known.Away == t.Away { // else it is another fault, which has begun now
				t.Since = known.Since
			}
			if known.Witness != job && !l.probingAgain { // else no other job has failed in this probe
				t.Witness = ""
			}
		}
		next = w.nextProbe(t)
		t.ProbeAt = time.Now().Add(l.skew + next)
		l.heard = time.Now()
		l.seen.Trip = &t // at once, so that of calls that fail together one trips the lane
	}
	l.mu.Unlock()
	switch {
	case alone:
		w.refusedAlone(ctx, l, t)
		return
	case next == 0:
		return // a call that was under way says nothing new
	}
	l.endProbe(id)
	l.tripped(&t)
	w.logTrip(ctx, l, t, known, next)
	err := w.cfg.Breaker.Trip(ctx, id, t, next)
	w.tellBreaker(ctx, l, err)
	if err == nil {
		l.toldAll()
	}
}

// awayProbe bounds the time between two probes of an API that is away: a probe costs
// little, and everything waits for it.
const awayProbe = 30 * time.Second

func (w *Worker) nextProbe(t tasks.Trip) time.Duration {
	most := w.cfg.RetryMax
	if t.Away {
		most = min(most, max(awayProbe, 5*w.cfg.RetryMin))
	}
	return backoffDelay(t.Probes, min(5*w.cfg.RetryMin, most), most)
}

// letIn closes the breaker if this turn is the probe, and the action is the one
// that had been refused, or a create, which needs most.
func (w *Worker) letIn(ctx context.Context, l *lane, ref tasks.Ref, action string) {
	id := probeID(ctx, ref)
	l.forgive(action)
	l.well(action)
	l.mu.Lock()
	trip := l.seen.Trip
	proved := l.probing == id && (trip == nil || trip.Action == action || action == ActionCreate || unreachable(*trip))
	l.mu.Unlock()
	if !proved {
		return
	}
	l.endProbe(id)
	l.hear(func() { l.seen.Trip, l.own, l.heard = nil, own{}, time.Now() })
	w.logUntrip(ctx, l, trip, action)
	w.tellBreaker(ctx, l, w.cfg.Breaker.Untrip(ctx, id))
}

// unprobe ends the probe of a turn that proved nothing.
func (w *Worker) unprobe(ctx context.Context, l *lane, ref tasks.Ref) {
	id := probeID(ctx, ref)
	l.endTry(id)
	if !l.endProbe(id) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	w.tellBreaker(ctx, l, w.cfg.Breaker.Unprobe(ctx, id, 5*w.cfg.RetryMin))
}

// tellBreaker reports a breaker that could not be told: other processes then ask
// the API themselves, or the probe ends by itself.
func (w *Worker) tellBreaker(ctx context.Context, l *lane, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		w.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "the account's breaker", slog.String("account", l.Account), slog.Any("error", err))
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
