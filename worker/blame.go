package worker

import (
	"strings"
	"time"

	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

const (
	// maxRefusals is how often a job may be refused with a code that concerns the account,
	// while other jobs are accepted, until the fault is the job's own. The API may accept and
	// refuse an account by turns, as while a permission propagates: where it refused every
	// second call, 27 of 200 jobs were refused three times; six times would be about three
	// jobs. maxPages is the same limit for answers that are not the API's, of which a bad
	// node behind a load balancer gives some jobs several.
	maxRefusals = 6
	maxPages    = 12
	// manyThrottled is how many waits in a row it takes until flow control may concern the
	// job alone.
	manyThrottled = 6
	// maxUnknown is how many answers with unknown codes a job may get.
	maxUnknown = 3
)

// blame decides whether an answer that refuses the account is the fault of the job, and
// counts that in the record. It is the job's fault if the job is refused again although a
// call of this process that began after its previous refusal was accepted. After too many of
// them the verdict becomes a refusal of the request, which ends the job with the API's code.
//
// ofJob reports that the answer concerns the job, so that the breaker stays closed. While
// other jobs keep the breaker open, a refusal proves nothing about the job.
func (l *lane) blame(r *tasks.Record, v classify.Verdict) (_ classify.Verdict, ofJob bool) {
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
	if !l.succeededAfter(before) && (r.Refusals < 2 || l.isTripped()) {
		return v, false
	}
	r.Refusals++
	if r.Refusals >= maxPages || r.Refusals >= maxRefusals && v.Kind != classify.KindForeign {
		v.Kind, v.Outcome = classify.KindRequest, tasks.OutcomeRejected
	}
	return v, true
}

// recordSuccess records that a call of this process has created an instance. began is by
// the clock of Redis.
func (l *lane) recordSuccess(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.After(l.succeededAt) {
		l.succeededAt = began
	}
}

// succeededAfter reports whether a call of this process that began after t was accepted.
// Calls of other processes prove nothing: the API may refuse this process for its clock, its
// key or its proxy.
func (l *lane) succeededAfter(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.succeededAt.After(t)
}

// throttledAlone reports whether flow control concerns the job alone: the job was throttled
// many times in a row, and a call that began after the last time was accepted. Then the pause
// that the answer asks for is the job's, and the account does not slow down. Otherwise one
// job could slow the account down without end.
func (l *lane) throttledAlone(r *tasks.Record) bool {
	before := l.noteRefused(r)
	return r.Delays >= manyThrottled && l.succeededAfter(before)
}

// noteRefused records that the job is refused now, by the clock of Redis, and returns when
// it was refused before.
func (l *lane) noteRefused(r *tasks.Record) (before time.Time) {
	before, r.RefusedAt = r.RefusedAt, time.Now().Add(l.clockSkew())
	return before
}

// isTripped reports whether the breaker is open, as far as this process knows.
func (l *lane) isTripped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Trip != nil
}

// countUnknownCode counts an answer with an unknown code, or one that refuses a lookup,
// against the job's small budget. It does not while the breaker is open: then many jobs are
// refused, and the fault is the account's.
func (l *lane) countUnknownCode(r *tasks.Record, v classify.Verdict, err error) {
	refusedLook := v.Kind == classify.KindRequest && r.State == tasks.StateQueued
	if (v.Kind == classify.KindUnknown || refusedLook) && classify.Answered(err) && !l.isTripped() {
		r.Unknown++
	}
}

// lastWord returns the code with which a job ends when its budget is spent: the API's last
// code if there is one, else that of the budget.
func lastWord(code, spent string) string {
	if code == "" || strings.HasPrefix(code, "camsq.") {
		return spent
	}
	return code
}
