package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

const (
	// awayAfter failures in a row that show an unreachable or failing API open the breaker.
	// awayLeast are enough if they took awayTime together, since an endpoint that never
	// answers causes few failures in a minute.
	awayAfter, awayLeast = 5, 3
	awayTime             = 20 * time.Second
	// manyJobs is how many different jobs in a row must be refused with unknown codes before
	// the codes count as the account's. The codes may differ, since a failing product may
	// answer with another one each time.
	manyJobs = 3
)

// streak is a series of failures of one action without a success between them.
type streak struct {
	away  int
	since time.Time       // the first failure that shows that the API is away
	jobs  map[string]bool // that were refused with unknown codes; manyJobs at most
}

// countAway counts a failure that shows that the API is unreachable or failing, and reports
// whether there were enough of them in a row.
func (l *lane) countAway(action string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.streakOf(action)
	if r.away++; r.away == 1 {
		r.since = time.Now()
	}
	return r.away >= awayAfter || r.away >= awayLeast && time.Since(r.since) >= awayTime
}

// countUnknown counts a job that was refused with an unknown code, and reports whether
// enough jobs were in a row.
func (l *lane) countUnknown(action, job string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.streakOf(action)
	if r.jobs == nil {
		r.jobs = map[string]bool{}
	}
	r.away = 0
	if len(r.jobs) < manyJobs {
		r.jobs[job] = true
	}
	return len(r.jobs) >= manyJobs
}

// endStreak ends the streak: the API has accepted the action.
func (l *lane) endStreak(action string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streaks, action)
}

// endAway records that the API responds, whatever it said.
func (l *lane) endAway(action string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streakOf(action).away = 0
}

// streakOf returns the streak of an action. The caller holds the lock.
func (l *lane) streakOf(action string) *streak {
	if l.streaks == nil {
		l.streaks = map[string]*streak{}
	}
	if l.streaks[action] == nil {
		l.streaks[action] = new(streak)
	}
	return l.streaks[action]
}

// updateLane updates the account's limiter and breaker from the answer to an action.
func (w *Worker) updateLane(ctx context.Context, l *lane, r tasks.Record, action string, v classify.Verdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if v.Renew && l.Renew != nil {
		l.Renew()
	}
	if v.Throttled {
		l.endAway(action)
		w.onAnswer(ctx, l, r.Ref())
		if err := l.limiter(action).Throttled(ctx, classify.RetryAfter(err)); err != nil {
			w.cfg.Log.Warn("slowing an account down", "account", l.Account, "error", err)
		}
		return
	}
	classify.Describe(&r, v, err)
	doubtful := action == ActionList && classify.Contradicted(err)
	if doubtful {
		r.Code = tasks.CodeContradicted
	}
	trip := tasks.Trip{Away: v.Away(err), Action: action, Code: r.Code, Message: r.Message}
	switch {
	case v.Outcome == tasks.OutcomeSucceeded, v.Kind == classify.KindRequest && action == ActionCreate && v.Outcome == tasks.OutcomeRejected:
		w.onSuccess(ctx, l, r.Ref(), action)
	case v.Outcome == tasks.OutcomeBlocked:
		w.onRefusal(ctx, l, r.Ref(), trip)
	case trip.Away:
		if l.countAway(action) || l.isProbing(probeID(ctx, r.Ref())) {
			w.onRefusal(ctx, l, r.Ref(), trip)
		}
	case v.Kind == classify.KindUnknown && classify.Answered(err), v.Kind == classify.KindRequest, doubtful:
		if l.countUnknown(action, r.ID) || l.isProbing(probeID(ctx, r.Ref())) {
			w.onRefusal(ctx, l, r.Ref(), trip)
		}
	default:
		l.endAway(action)
		w.onAnswer(ctx, l, r.Ref())
	}
}

// onAnswer closes the breaker if it is open because the API was unreachable, and this turn
// is the probe and has got an answer of the API.
func (w *Worker) onAnswer(ctx context.Context, l *lane, ref tasks.Ref) {
	l.mu.Lock()
	trip := l.state.Trip
	l.mu.Unlock()
	if trip != nil && unreachable(*trip) {
		w.onSuccess(ctx, l, ref, trip.Action)
	}
}

// unreachable reports whether the API does not respond at all: then no action can succeed,
// and an answer to any action shows that it is back.
func unreachable(t tasks.Trip) bool {
	return t.Away && (t.Code == tasks.CodeUnsent || t.Code == tasks.CodeNoAnswer)
}

// countCall reports a request to the API to its hook.
func (w *Worker) countCall(r tasks.Record, action string, took time.Duration, err error) {
	if w.cfg.Hooks.Call == nil {
		return
	}
	v := classify.Of(err)
	classify.Describe(&r, v, err)
	c := tasks.APICall{Account: r.Account, Action: action, Outcome: v.Outcome, Code: r.Code, Took: took}
	if e, ok := classify.CallError(err); ok {
		c.Status = e.Status
	} else if err == nil {
		c.Status = 200
	}
	w.cfg.Hooks.Call(c)
}

// logTrip logs that the breaker has opened. Probes that fail the same way later are logged
// at level debug.
func (w *Worker) logTrip(ctx context.Context, l *lane, t tasks.Trip, before *tasks.Trip, next time.Duration) {
	level := slog.LevelWarn
	if before != nil && before.Code == t.Code && before.Away == t.Away {
		level = slog.LevelDebug
	}
	what := "the API refuses the account; its jobs wait"
	attrs := []slog.Attr{slog.String("account", l.Account), slog.String("action", t.Action), slog.String("code", t.Code)}
	if t.Away {
		what = "the API is away; the account's jobs wait"
		attrs = append(attrs, slog.String("error", t.Message))
	}
	attrs = append(attrs, slog.Int("failures", t.Probes), slog.Duration("next_probe", next.Round(time.Millisecond)))
	w.cfg.Log.LogAttrs(ctx, level, what, attrs...)
}

// logClosed logs that the breaker has closed. If this process already knew it closed, the
// process that closed it has logged that.
func (w *Worker) logClosed(ctx context.Context, l *lane, t *tasks.Trip, action string) {
	if t == nil {
		return
	}
	what, after := "the API lets the account in again", time.Since(t.Since.Add(-l.clockSkew())).Round(time.Millisecond)
	if t.Away {
		what = "the API is back"
	}
	w.cfg.Log.LogAttrs(ctx, slog.LevelInfo, what, slog.String("account", l.Account), slog.String("action", action), slog.Duration("after", after))
}
