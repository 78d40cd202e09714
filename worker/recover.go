package worker

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/backoff"
	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

// baseline records which instances the API lists for the job's name before its first call,
// so that recovery can distinguish an older instance from the job's own. If there is one, the job
// ends or adopts it, as configured. The begin step writes the baseline. An instance that an
// operator has judged before counts as older.
//
// Dies here: the job is queued, and the next turn lists again.
func (w *Worker) baseline(ctx context.Context, l *lane, r tasks.Record) (tasks.Record, error) {
	s, err := w.lookUp(ctx, l, r, true)
	if err != nil {
		return r, w.listFailed(ctx, l, r, err)
	}
	judged := r.InBaseline
	exact, alike := without(s.exact, judged), without(s.alike, judged)
	var ids []string
	if r.Baseline != nil {
		ids = append(ids, *r.Baseline...)
	}
	ids = append(append(ids, idsOf(exact)...), idsOf(alike)...)
	r.Baseline = &ids
	r.Nearby, r.NearbyMany = idsOf(s.others), s.many
	switch {
	case s.over && !r.Vouched && w.cfg.OnExisting != ExistingFail:
		several(&r, exact, true)
		return ended(r, w.holdJob(ctx, l, r, tasks.StepChoose, exact))
	case w.cfg.OnExisting == ExistingCreate:
		return r, nil
	case len(exact) > 0:
		return w.exists(ctx, l, r, exact)
	case len(alike) > 0:
		return w.existsNearly(ctx, l, r, alike)
	}
	return r, nil
}

// exists handles instances of exactly the job's name that existed before its call.
func (w *Worker) exists(ctx context.Context, l *lane, r tasks.Record, found []cams.Instance) (tasks.Record, error) {
	if w.cfg.OnExisting == ExistingAdopt {
		free, err := w.unclaimed(ctx, r, found)
		if err != nil {
			return r, err
		}
		if len(free) == 1 {
			r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, free[0]), true, "OK", ""
			return ended(r, onConflict(w.end(ctx, l, r, tasks.StepAdopt)))
		}
		if len(free) > 1 {
			several(&r, free, false)
			return ended(r, w.holdJob(ctx, l, r, tasks.StepChoose, free))
		}
	}
	r.Code = tasks.CodeExists
	r.Message = "instances of that channel type and name exist already: " + list(found, mostCandidates, func(i cams.Instance) string { return i.InstanceID })
	return ended(r, onConflict(w.end(ctx, l, r, tasks.StepExists)))
}

// existsNearly handles instances whose names are the job's name in another form. An operator
// must decide whether the API has stored the name that way. But if another job has an
// instance whose name looks the same, that is the name, and it exists.
func (w *Worker) existsNearly(ctx context.Context, l *lane, r tasks.Record, alike []cams.Instance) (tasks.Record, error) {
	free, err := w.unclaimed(ctx, r, alike)
	if err != nil {
		return r, err
	}
	if len(free) == 0 {
		r.Code = tasks.CodeExists
		r.Message = "instances exist already whose names differ in nothing that can be seen: " + list(alike, mostQuoted, func(i cams.Instance) string {
			return i.InstanceID + " " + tasks.Reveal(i.InstanceName, quotedName)
		})
		return ended(r, onConflict(w.end(ctx, l, r, tasks.StepExists)))
	}
	nearMatch(&r, free, "existed before the first call")
	return ended(r, w.holdJob(ctx, l, r, tasks.StepChoose, free))
}

func without(found []cams.Instance, drop func(instanceID string) bool) []cams.Instance {
	var rest []cams.Instance
	for _, i := range found {
		if !drop(i.InstanceID) {
			rest = append(rest, i)
		}
	}
	return rest
}

func idsOf(found []cams.Instance) []string {
	var ids []string
	for _, i := range found {
		ids = append(ids, i.InstanceID)
	}
	return ids
}

// ended clears the state of a record in memory: its turn is over.
func ended(r tasks.Record, err error) (tasks.Record, error) {
	r.State = ""
	return r, err
}

// recover looks up the instance of a call whose answer is not known. One lookup that finds
// nothing proves nothing: only lookups during the whole settle window do.
//
// Dies anywhere: the job is uncertain, and the next turn looks it up again.
func (w *Worker) recover(ctx context.Context, l *lane, r tasks.Record) error {
	if d := r.Wait(); d > 0 {
		return &SnoozeError{d, "whether the call made an instance is not known yet"}
	}
	if len(r.Candidates) > 0 { // see disputed: its turn died
		return onConflict(w.end(ctx, l, r, tasks.StepSeveral))
	}
	if err := w.allow(ctx, l, r, true); err != nil {
		return err
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	s, err := w.lookUp(wait, l, r, false)
	if err != nil {
		w.countLookup(l, "failed")
		return w.listFailed(wait, l, r, err)
	}
	if ended, err := w.adoptIfFound(ctx, l, r, s); ended || err != nil {
		return err
	}
	// r.Now is from before the lookup, so a window that was over then is over for the lookup.
	if left := w.cfg.SettleWindow - r.Now.Sub(r.Since); left > 0 {
		return w.lookUpAgain(ctx, r, left)
	}
	looks, took := r.Lookups+1, r.Now.Sub(r.Since).Round(time.Second)
	r.Lookups = 0
	if near := s.near(); len(near) > 0 || r.NearbyMany {
		return w.holdNear(ctx, l, r, s)
	}
	if r.Named != "" {
		return w.contradicted(ctx, l, r, nil)
	}
	r.Message = fmt.Sprintf("no instance found in %d lookups over %v after a call that ended with %s",
		looks, took, cmp.Or(r.Code, "no answer"))
	if w.cfg.OnNotFound == NotFoundHold {
		r.Code = tasks.CodeAbsent
		return onConflict(w.end(ctx, l, r, tasks.StepUnfound))
	}
	r.Code = lastWord(r.Code, tasks.CodeAbsent) // the API's last code outlives the lookup
	if r, err = w.cfg.Store.Transition(ctx, r, tasks.StepAbsent, backoff.Delay(r.Tries, w.cfg.RetryMin, w.cfg.RetryMax)); err != nil {
		return onConflict(err)
	}
	return &SnoozeError{r.Wait(), "the call created no instance and is repeated"}
}

// lookUpAgain schedules another lookup, later each time. Until the window is over, an instance
// that is not listed yet may appear, and another job may record one that is.
func (w *Worker) lookUpAgain(ctx context.Context, r tasks.Record, left time.Duration) error {
	due := min(w.cfg.ReconcileDelay<<min(r.Lookups+1, 10), max(left, time.Second))
	r.Lookups, r.Delays = r.Lookups+1, 0
	return w.reschedule(ctx, r, due, "whether the call made an instance is not known yet")
}

// holdNear holds a job that has near matches, or too many instances to distinguish them.
func (w *Worker) holdNear(ctx context.Context, l *lane, r tasks.Record, s matches) error {
	near := s.near()
	nearMatch(&r, near, "appeared after the first lookup")
	r.NearbyMany = r.NearbyMany || s.many
	return w.holdJob(ctx, l, r, tasks.StepSeveral, near)
}

// adoptIfFound ends a job that has an uncertain call, if the lookup shows how the call
// ended. One instance that is not in the baseline and belongs to no other job is the job's
// own. If there are several, an operator must choose.
//
// Dies before the write: the next lookup finds the same.
func (w *Worker) adoptIfFound(ctx context.Context, l *lane, r tasks.Record, s matches) (ended bool, err error) {
	var fresh []cams.Instance
	for _, i := range s.exact {
		if !r.InBaseline(i.InstanceID) {
			fresh = append(fresh, i)
		}
	}
	if fresh, err = w.unclaimed(ctx, r, fresh); err != nil {
		return false, err
	}
	named := s.namedInAnswer(r)
	switch {
	case s.over && r.Vouched: // there are too many, and an operator has decided
		return false, nil
	case s.over:
		return true, w.needsDecision(ctx, l, r, fresh, true)
	case len(fresh) == 1 && r.Named != "" && !strings.EqualFold(fresh[0].InstanceID, r.Named):
		w.countLookup(l, "several")
		return true, w.contradicted(ctx, l, r, fresh)
	case len(fresh) == 1:
		w.countLookup(l, "found")
		r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, fresh[0]), true, "OK", ""
		return true, onConflict(w.end(ctx, l, r, tasks.StepFound))
	case len(fresh) > 1:
		return true, w.needsDecision(ctx, l, r, fresh, false)
	case named != nil:
		w.countLookup(l, "found")
		r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, *named), true, "OK", ""
		return true, onConflict(w.end(ctx, l, r, tasks.StepFound))
	case len(s.alike)+len(s.others) > 0:
		w.countLookup(l, "near")
	default:
		w.countLookup(l, "absent")
	}
	return false, nil
}

// contradicted holds a job whose call got an answer that names an instance and is no
// success, if the lookups do not show that the instance is the job's. Another call might
// create a second one.
func (w *Worker) contradicted(ctx context.Context, l *lane, r tasks.Record, found []cams.Instance) error {
	r.Code = tasks.CodeContradicted
	r.Message = "the answer to a call named instance " + r.Named + " and contradicted itself or the request"
	if len(found) > 0 {
		r.Message += "; a lookup found " + list(found, mostCandidates, func(i cams.Instance) string { return i.InstanceID })
	}
	return w.holdJob(ctx, l, r, tasks.StepSeveral, append([]cams.Instance{{InstanceID: r.Named}}, found...))
}

// needsDecision holds a job that has several new instances of exactly its name.
func (w *Worker) needsDecision(ctx context.Context, l *lane, r tasks.Record, fresh []cams.Instance, over bool) error {
	w.countLookup(l, "several")
	several(&r, fresh, over)
	return w.holdJob(ctx, l, r, tasks.StepSeveral, fresh)
}

// lookUpFirst looks up the instance of an earlier call, before a job that an operator has
// requeued calls again. The last lookup may be days old. Near matches are looked up for the
// settle window, as in recovery, and then held.
func (w *Worker) lookUpFirst(ctx context.Context, l *lane, r tasks.Record) (tasks.Record, error) {
	s, err := w.lookUp(ctx, l, r, false)
	if err != nil {
		w.countLookup(l, "failed")
		return r, w.listFailed(ctx, l, r, err)
	}
	if done, err := w.adoptIfFound(ctx, l, r, s); done || err != nil {
		return ended(r, err)
	}
	many := (r.NearbyMany || s.many) && !r.Vouched
	if len(s.alike) == 0 && !many && (len(s.others) == 0 || s.many) {
		r.NearbyMany = r.NearbyMany || s.many
		return r, nil
	}
	if left := w.cfg.SettleWindow - r.Now.Sub(r.Since); left > 0 {
		return ended(r, w.lookUpAgain(ctx, r, left))
	}
	r.Lookups = 0
	return ended(r, w.holdNear(ctx, l, r, s))
}

// listFailed delays a job whose lookup failed. It costs no try, since nothing was created. The
// state does not change: a lookup that fails is no evidence.
func (w *Worker) listFailed(ctx context.Context, l *lane, r tasks.Record, err error) error {
	e, ok := classify.CallError(err)
	if !ok {
		return err // of the wait, not of the call
	}
	uncalled := r.State == tasks.StateQueued && !r.Doubted
	v, ofJob := l.blame(&r, classify.Of(err))
	switch {
	case ofJob && v.Outcome == tasks.OutcomeRejected && uncalled:
		classify.Describe(&r, v, err)
		return onConflict(w.end(context.WithoutCancel(ctx), l, r, tasks.StepSpent))
	case ofJob: // the breaker stays closed, and the job waits by itself
	default:
		if uncalled {
			l.countUnknownCode(&r, v, err)
		}
		w.updateLane(ctx, l, r, ActionList, v, err)
	}
	r.Delays++
	if !uncalled && w.lookupRefused(l, r, v, ofJob, e) {
		return w.holdRefusedLookup(context.WithoutCancel(ctx), l, r, v, err)
	}
	due := max(e.RetryAfter, backoff.Delay(r.Delays, w.cfg.RetryMin, w.cfg.RetryMax))
	switch {
	case v.Throttled:
		due = w.throttledDelay(r.Delays, err)
	case v.Outcome == tasks.OutcomeBlocked && r.State == tasks.StateQueued && !ofJob:
		due = e.RetryAfter // the breaker delays the job
	}
	if r.State == tasks.StateQueued {
		classify.Describe(&r, v, err)
		if classify.Contradicted(err) {
			r.Code = tasks.CodeContradicted
		}
	}
	return w.reschedule(context.WithoutCancel(ctx), r, due, "its instances could not be listed: "+cmp.Or(e.Code, "no answer"))
}

// maxRefusedLookups is how many lookups in a row of an uncertain job may be refused with codes
// that do not concern the account.
const maxRefusedLookups = 10

// lookupRefused reports whether the API refuses the lookups of this job alone, so that waiting
// does not help: it accepts other jobs, or its code concerns the request or is unknown, and
// the breaker is closed.
func (w *Worker) lookupRefused(l *lane, r tasks.Record, v classify.Verdict, ofJob bool, e *cams.Error) bool {
	if r.Now.Sub(r.Since) < w.cfg.SettleWindow {
		return false
	}
	if ofJob {
		return v.Outcome == tasks.OutcomeRejected
	}
	refused := e.Status != 0 && !v.Throttled && (v.Kind == classify.KindRequest || v.Kind == classify.KindUnknown)
	return refused && r.Delays >= maxRefusedLookups && !l.isTripped()
}

// holdRefusedLookup holds an uncertain job that cannot be looked up: only an operator can
// decide whether its call has created an instance.
//
// Dies before the step: the next lookup is refused too, and its turn comes here again.
func (w *Worker) holdRefusedLookup(ctx context.Context, l *lane, r tasks.Record, v classify.Verdict, err error) error {
	classify.Describe(&r, v, err)
	if classify.Contradicted(err) {
		r.Code = tasks.CodeContradicted
	}
	r.Message = strings.TrimSuffix("a call may have created an instance, and the API refuses the lookups: "+r.Message, ": ")
	by, named := tasks.StepUnfound, []cams.Instance(nil)
	if r.State == tasks.StateQueued {
		by = tasks.StepChoose
	}
	if r.Named != "" {
		named = []cams.Instance{{InstanceID: r.Named}}
	}
	return w.holdJob(ctx, l, r, by, named)
}

// reschedule writes when the job is due again, and returns that to the queue.
func (w *Worker) reschedule(ctx context.Context, r tasks.Record, due time.Duration, why string) error {
	r, err := w.cfg.Store.UpdateProgress(ctx, r, due)
	if err != nil {
		return onConflict(err)
	}
	return &SnoozeError{r.Wait(), why}
}

// unclaimed drops the instances that belong to other jobs.
func (w *Worker) unclaimed(ctx context.Context, r tasks.Record, found []cams.Instance) ([]cams.Instance, error) {
	return w.unclaimedOr(ctx, r, found, func(cams.Instance) bool { return false })
}

// unclaimedOr drops the instances that belong to other jobs, except those that count anyway.
func (w *Worker) unclaimedOr(ctx context.Context, r tasks.Record, found []cams.Instance, counts func(cams.Instance) bool) ([]cams.Instance, error) {
	if len(found) == 0 {
		return nil, nil
	}
	claimed, err := w.cfg.Store.Claimed(ctx, r, idsOf(found))
	if err != nil {
		return nil, err
	}
	var free []cams.Instance
	for _, f := range found {
		if !claimed[f.InstanceID] || counts(f) {
			free = append(free, f)
		}
	}
	return free, nil
}

func (w *Worker) countLookup(l *lane, result string) {
	if w.cfg.Hooks.Lookup != nil {
		w.cfg.Hooks.Lookup(l.Account, result)
	}
}

// eventInstance returns an instance as its event describes it: with the name and the channel
// type of the request, however the API spells them.
func eventInstance(r tasks.Record, i cams.Instance) *tasks.EventInstance {
	return &tasks.EventInstance{
		InstanceID: i.InstanceID, InstanceName: r.Request.InstanceName, ChannelType: r.Request.ChannelType,
		ResourceRegionID: i.ResourceRegionID, SubmitTime: i.SubmitTime,
	}
}
