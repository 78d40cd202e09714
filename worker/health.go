package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

const (
	// awayAfter is how many answers in a row must say that the API is away before the
	// lane trips; awayLeast is enough of them where they took awayTime together, since an
	// endpoint that never answers gives few in a minute.
	awayAfter, awayLeast = 5, 3
	awayTime             = 20 * time.Second
	// manyJobs is how many different jobs in a row unknown codes must refuse before they
	// count as ones of the account's: the same code or several, since a product that is ill
	// may answer with another one each time.
	manyJobs = 3
)

// run is a row of answers to one action that all speak of a fault, with none let in between.
type run struct {
	away  int
	since time.Time       // the first that says that the API is away
	jobs  map[string]bool // that codes have refused of which nothing is known; manyJobs at most
}

// falter counts an answer that says that the API is away, and tells whether there are
// enough of them in a row.
func (l *lane) falter(action string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.runOf(action)
	if r.away++; r.away == 1 {
		r.since = time.Now()
	}
	return r.away >= awayAfter || r.away >= awayLeast && time.Since(r.since) >= awayTime
}

// suspect counts a job that a code has refused which nothing is known of, and tells
// whether such codes have refused many in a row.
func (l *lane) suspect(action, job string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.runOf(action)
	if r.jobs == nil {
		r.jobs = map[string]bool{}
	}
	r.away = 0
	if len(r.jobs) < manyJobs {
		r.jobs[job] = true
	}
	return len(r.jobs) >= manyJobs
}

// well ends the row: the API took the action.
func (l *lane) well(action string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.runs, action)
}

// present notes that the API is there, whatever it said.
func (l *lane) present(action string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runOf(action).away = 0
}

// runOf is the row of an action. The caller has the lock.
func (l *lane) runOf(action string) *run {
	if l.runs == nil {
		l.runs = map[string]*run{}
	}
	if l.runs[action] == nil {
		l.runs[action] = new(run)
	}
	return l.runs[action]
}

// pace tells the account's limiter and breaker what an answer to one of its actions
// says of the account.
func (w *Worker) pace(ctx context.Context, l *lane, r tasks.Record, action string, v classify.Verdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if v.Renew && l.Renew != nil {
		l.Renew()
	}
	if v.Throttled {
		l.present(action)
		w.back(ctx, l, r.Ref())
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
		w.letIn(ctx, l, r.Ref(), action)
	case v.Outcome == tasks.OutcomeBlocked:
		w.refused(ctx, l, r.Ref(), trip)
	case trip.Away:
		if l.falter(action) || l.isProbing(probeID(ctx, r.Ref())) {
			w.refused(ctx, l, r.Ref(), trip)
		}
	case v.Kind == classify.KindUnknown && classify.Answered(err), v.Kind == classify.KindRequest, doubtful:
		if l.suspect(action, r.ID) || l.isProbing(probeID(ctx, r.Ref())) {
			w.refused(ctx, l, r.Ref(), trip)
		}
	default:
		l.present(action)
		w.back(ctx, l, r.Ref())
	}
}

// back closes the breaker if it is open since the API was away, and this turn, the
// probe, has had an answer of the API.
func (w *Worker) back(ctx context.Context, l *lane, ref tasks.Ref) {
	l.mu.Lock()
	trip := l.seen.Trip
	l.mu.Unlock()
	if trip != nil && unreachable(*trip) {
		w.letIn(ctx, l, ref, trip.Action)
	}
}

// unreachable says whether nothing of the API answers: then no action can succeed, and
// an answer to any shows that it is back.
func unreachable(t tasks.Trip) bool {
	return t.Away && (t.Code == tasks.CodeUnsent || t.Code == tasks.CodeNoAnswer)
}

// called counts a request to the API.
func (w *Worker) called(r tasks.Record, action string, took time.Duration, err error) {
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

// logTrip says that a lane has tripped. The probes that fail after that say nothing new,
// unless they fail otherwise.
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

// logUntrip says that a lane is whole again. Of a lane that this process knows to be
// whole already, the one that made it so has said it.
func (w *Worker) logUntrip(ctx context.Context, l *lane, t *tasks.Trip, action string) {
	if t == nil {
		return
	}
	what, after := "the API lets the account in again", time.Since(l.here(t.Since)).Round(time.Millisecond)
	if t.Away {
		what = "the API is back"
	}
	w.cfg.Log.LogAttrs(ctx, slog.LevelInfo, what, slog.String("account", l.Account), slog.String("action", action), slog.Duration("after", after))
}
