package worker

import (
	"strings"
	"time"

	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

const (
	// maxRefusals is how often a job may be refused with a code of the account's, with
	// others let in, before the fault is the job's own. An account may be let in and refused
	// by turns, as while a permission spreads: of 200 jobs 27 were refused three times where
	// every second call was; six times would be some three. maxPages is the same for answers
	// that are not the API's, of which a bad node behind a load balancer gives some jobs several.
	maxRefusals = 6
	maxPages    = 12
	// manyThrottled is after how many waits in a row flow control may be the job's own.
	manyThrottled = 6
	// maxUnknown is how often a job may be answered with codes that nothing is known of.
	maxUnknown = 3
)

// blame says whose fault an answer is that refuses the account, and counts in the record
// what is the job's own: a job that is refused again although a call of this process that
// began after its last refusal was let in. It turns the verdict of a job that was refused
// so too often into a refusal of the request, which ends the job with the API's code.
//
// own says that the answer speaks of the job, and so the lane stays open. Where the lane
// is tripped anyhow by other jobs, the job learns nothing of itself.
func (l *lane) blame(r *tasks.Record, v classify.Verdict) (_ classify.Verdict, own bool) {
	if v.Throttled {
		return v, l.throttledAlone(r)
	}
	if v.Outcome != tasks.OutcomeBlocked {
		return v, false
	}
	before := l.noteRefused(r)
	if r.Refusals == 0 {
		r.Refusals = 1
		return v, false
	}
	if !l.letInAfter(before) && (r.Refusals < 2 || l.isTripped()) {
		return v, false
	}
	r.Refusals++
	if r.Refusals >= maxPages || r.Refusals >= maxRefusals && v.Kind != classify.KindForeign {
		v.Kind, v.Outcome = classify.KindRequest, tasks.OutcomeRejected
	}
	return v, true
}

// admitted notes that the API answered a call of this process with an instance. began is
// on Redis's clock.
func (l *lane) admitted(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.After(l.letInAt) {
		l.letInAt = began
	}
}

// letInAfter says whether a call of this process that began after that was let in. Those
// of other processes prove nothing: what is refused may be this one, for its clock, its
// key or its proxy.
func (l *lane) letInAfter(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.letInAt.After(t)
}

// throttledAlone says whether flow control speaks of the job alone: it has been turned away
// many times in a row, and a call that began after the last time was let in. Then the pause
// that the answer asks for is the job's, and the account does not slow down: else one job
// would hold it back for as long as the API answers it so.
func (l *lane) throttledAlone(r *tasks.Record) bool {
	before := l.noteRefused(r)
	return r.Delays >= manyThrottled && l.letInAfter(before)
}

// noteRefused notes in the record that it was refused now, on Redis's clock, and returns
// when it was before.
func (l *lane) noteRefused(r *tasks.Record) (before time.Time) {
	before, r.RefusedAt = r.RefusedAt, time.Now().Add(l.skewed())
	return before
}

// isTripped says whether the lane's breaker is open, as far as this process knows.
func (l *lane) isTripped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen.Trip != nil
}

// doubtUnknown counts an answer against the job's small budget whose code nothing is
// known of, or that refuses a look, unless the lane is tripped: then many jobs are
// refused, and the fault is the account's.
func (l *lane) doubtUnknown(r *tasks.Record, v classify.Verdict, err error) {
	refusedLook := v.Kind == classify.KindRequest && r.State == tasks.StateQueued
	if (v.Kind == classify.KindUnknown || refusedLook) && classify.Answered(err) && !l.isTripped() {
		r.Unknown++
	}
}

// lastWord is the code that a job ends with when its budget is spent: the API's last one
// if it has said anything, else the budget's.
func lastWord(code, spent string) string {
	if code == "" || strings.HasPrefix(code, "camsq.") {
		return spent
	}
	return code
}
