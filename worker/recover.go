package worker

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

// baseline notes which instances the API has for the job's name before its first
// call, so that recovery can tell an old one from the job's own, and does with a
// job that meets one what the configuration says. The begin step writes it. What a
// person has judged before is old, whatever it is.
func (w *Worker) baseline(ctx context.Context, l *lane, r tasks.Record) (tasks.Record, error) {
	s, err := w.survey(ctx, l, r, true)
	if err != nil {
		return r, w.cannotList(ctx, l, r, err)
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
		return ended(r, w.hold(ctx, l, r, tasks.StepChoose, exact))
	case w.cfg.OnExisting == ExistingCreate:
		return r, nil
	case len(exact) > 0:
		return w.exists(ctx, l, r, exact)
	case len(alike) > 0:
		return w.existsNearly(ctx, l, r, alike)
	}
	return r, nil
}

// exists deals with instances of exactly the job's name that stood there before its call.
func (w *Worker) exists(ctx context.Context, l *lane, r tasks.Record, found []cams.Instance) (tasks.Record, error) {
	if w.cfg.OnExisting == ExistingAdopt {
		free, err := w.unclaimed(ctx, r, found)
		if err != nil {
			return r, err
		}
		if len(free) == 1 {
			r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, free[0]), true, "OK", ""
			return ended(r, again(w.end(ctx, l, r, tasks.StepAdopt)))
		}
		if len(free) > 1 {
			several(&r, free, false)
			return ended(r, w.hold(ctx, l, r, tasks.StepChoose, free))
		}
	}
	r.Code = tasks.CodeExists
	r.Message = "instances of that channel type and name exist already: " + list(found, mostCandidates, func(i cams.Instance) string { return i.InstanceID })
	return ended(r, again(w.end(ctx, l, r, tasks.StepExists)))
}

// existsNearly deals with instances whose names are the job's in another form. Whether
// the API has made them so a person must tell; but if another job has one whose name
// differs in nothing that can be seen, that is the name, and it exists.
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
		return ended(r, again(w.end(ctx, l, r, tasks.StepExists)))
	}
	nearMatch(&r, free, "stood there before the first call")
	return ended(r, w.hold(ctx, l, r, tasks.StepChoose, free))
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

// ended marks a record in hand as one whose turn is over.
func ended(r tasks.Record, err error) (tasks.Record, error) {
	r.State = ""
	return r, err
}

// recover looks for the instance of a call whose answer is not known. One look
// that finds nothing proves nothing: only none for the whole settle window does.
func (w *Worker) recover(ctx context.Context, l *lane, r tasks.Record) error {
	if d := r.Wait(); d > 0 {
		return &SnoozeError{d, "whether the call made an instance is not known yet"}
	}
	if len(r.Candidates) > 0 { // of a dispute whose turn died
		return again(w.end(ctx, l, r, tasks.StepSeveral))
	}
	if err := w.permit(ctx, l, r, true); err != nil {
		return err
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	s, err := w.survey(wait, l, r, false)
	if err != nil {
		w.looked(l, "failed")
		return w.cannotList(wait, l, r, err)
	}
	if ended, err := w.take(ctx, l, r, s); ended || err != nil {
		return err
	}
	// r.Now is from before the look, so a window that was over then is over for the look.
	if left := w.cfg.SettleWindow - r.Now.Sub(r.Since); left > 0 {
		return w.lookAgain(ctx, r, left)
	}
	looks, took := r.Looks+1, r.Now.Sub(r.Since).Round(time.Second)
	r.Looks = 0
	if near := s.near(); len(near) > 0 || r.NearbyMany {
		return w.holdNear(ctx, l, r, s)
	}
	if r.Named != "" {
		return w.contradicted(ctx, l, r, nil)
	}
	r.Message = fmt.Sprintf("no instance in %d looks over %v after a call that ended with %s",
		looks, took, cmp.Or(r.Code, "no answer"))
	if w.cfg.OnNotFound == NotFoundHold {
		r.Code = tasks.CodeAbsent
		return again(w.end(ctx, l, r, tasks.StepUnfound))
	}
	r.Code = lastWord(r.Code, tasks.CodeAbsent) // what the API said last outlives the look
	if r, err = w.cfg.Store.Step(ctx, r, tasks.StepAbsent, backoffDelay(r.Tries, w.cfg.RetryMin, w.cfg.RetryMax)); err != nil {
		return again(err)
	}
	return &SnoozeError{r.Wait(), "the call made no instance and is made again"}
}

// lookAgain has the job looked up once more, later each time. Until the window is over,
// what is not listed yet may appear, and another job may record what is.
func (w *Worker) lookAgain(ctx context.Context, r tasks.Record, left time.Duration) error {
	due := min(w.cfg.ReconcileDelay<<min(r.Looks+1, 10), max(left, time.Second))
	r.Looks, r.Delays = r.Looks+1, 0
	return w.comeBack(ctx, r, due, "whether the call made an instance is not known yet")
}

// holdNear parks a job for which there are near matches, or too many instances to tell.
func (w *Worker) holdNear(ctx context.Context, l *lane, r tasks.Record, s matches) error {
	near := s.near()
	nearMatch(&r, near, "came after the first look")
	r.NearbyMany = r.NearbyMany || s.many
	return w.hold(ctx, l, r, tasks.StepSeveral, near)
}

// take ends a job of whose calls one has no answer, if what was found tells how
// it ended: one instance that was not there before and is no other job's is the
// job's own, and between several a person must choose.
func (w *Worker) take(ctx context.Context, l *lane, r tasks.Record, s matches) (ended bool, err error) {
	var fresh []cams.Instance
	for _, i := range s.exact {
		if !r.InBaseline(i.InstanceID) {
			fresh = append(fresh, i)
		}
	}
	if fresh, err = w.unclaimed(ctx, r, fresh); err != nil {
		return false, err
	}
	named := s.named(r)
	switch {
	case s.over && r.Vouched: // there are too many to tell, and a person has told
		return false, nil
	case s.over:
		return true, w.choose(ctx, l, r, fresh, true)
	case len(fresh) == 1 && r.Named != "" && !strings.EqualFold(fresh[0].InstanceID, r.Named):
		w.looked(l, "several")
		return true, w.contradicted(ctx, l, r, fresh)
	case len(fresh) == 1:
		w.looked(l, "found")
		r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, fresh[0]), true, "OK", ""
		return true, again(w.end(ctx, l, r, tasks.StepFound))
	case len(fresh) > 1:
		return true, w.choose(ctx, l, r, fresh, false)
	case named != nil:
		w.looked(l, "found")
		r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, *named), true, "OK", ""
		return true, again(w.end(ctx, l, r, tasks.StepFound))
	case len(s.alike)+len(s.others) > 0:
		w.looked(l, "near")
	default:
		w.looked(l, "absent")
	}
	return false, nil
}

// contradicted parks a job whose call was answered with an instance by an answer that is
// no success, when the looks do not show that it is the job's: to call again might make a
// second one.
func (w *Worker) contradicted(ctx context.Context, l *lane, r tasks.Record, found []cams.Instance) error {
	r.Code = tasks.CodeContradicted
	r.Message = "the answer to a call named instance " + r.Named + " and contradicted itself or the request"
	if len(found) > 0 {
		r.Message += "; a look found " + list(found, mostCandidates, func(i cams.Instance) string { return i.InstanceID })
	}
	return w.hold(ctx, l, r, tasks.StepSeveral, append([]cams.Instance{{InstanceID: r.Named}}, found...))
}

// choose parks a job for which there are several new instances of exactly its name.
func (w *Worker) choose(ctx context.Context, l *lane, r tasks.Record, fresh []cams.Instance, over bool) error {
	w.looked(l, "several")
	several(&r, fresh, over)
	return w.hold(ctx, l, r, tasks.StepSeveral, fresh)
}

// lookFirst looks for the instance of an earlier call, before a job that a person put
// back calls again. It may be days since recovery looked. Near matches are looked at
// once more, as in recovery, and then held.
func (w *Worker) lookFirst(ctx context.Context, l *lane, r tasks.Record) (tasks.Record, error) {
	s, err := w.survey(ctx, l, r, false)
	if err != nil {
		w.looked(l, "failed")
		return r, w.cannotList(ctx, l, r, err)
	}
	if done, err := w.take(ctx, l, r, s); done || err != nil {
		return ended(r, err)
	}
	many := (r.NearbyMany || s.many) && !r.Vouched
	if len(s.alike) == 0 && !many && (len(s.others) == 0 || s.many) {
		r.NearbyMany = r.NearbyMany || s.many
		return r, nil
	}
	if left := w.cfg.SettleWindow - r.Now.Sub(r.Since); left > 0 {
		return ended(r, w.lookAgain(ctx, r, left))
	}
	r.Looks = 0
	return ended(r, w.holdNear(ctx, l, r, s))
}

// cannotList puts a job off whose look at the instances failed. It costs no try:
// nothing was at stake. The state stays as it is, since no answer is no evidence.
func (w *Worker) cannotList(ctx context.Context, l *lane, r tasks.Record, err error) error {
	e, ok := classify.CallError(err)
	if !ok {
		return err // the wait, not the call
	}
	uncalled := r.State == tasks.StateQueued && !r.Doubted
	v, own := l.blame(&r, classify.Of(err))
	switch {
	case own && v.Outcome == tasks.OutcomeRejected && uncalled:
		classify.Describe(&r, v, err)
		return again(w.end(context.WithoutCancel(ctx), l, r, tasks.StepSpent))
	case own: // the lane stays open, and the job waits by itself
	default:
		if uncalled {
			l.doubtUnknown(&r, v, err)
		}
		w.pace(ctx, l, r, ActionList, v, err)
	}
	r.Delays++
	if !uncalled && w.unseen(l, r, v, own, e) {
		return w.holdUnseen(context.WithoutCancel(ctx), l, r, v, err)
	}
	due := max(e.RetryAfter, backoffDelay(r.Delays, w.cfg.RetryMin, w.cfg.RetryMax))
	switch {
	case v.Throttled:
		due = w.throttledDelay(r.Delays, err)
	case v.Outcome == tasks.OutcomeBlocked && r.State == tasks.StateQueued && !own:
		due = e.RetryAfter // the breaker holds the job back
	}
	if r.State == tasks.StateQueued {
		classify.Describe(&r, v, err)
		if classify.Contradicted(err) {
			r.Code = tasks.CodeContradicted
		}
	}
	return w.comeBack(context.WithoutCancel(ctx), r, due, "its instances could not be listed: "+cmp.Or(e.Code, "no answer"))
}

// maxUnseen is how many looks in a row for the instance of a call in doubt may be refused in
// words that speak of no account.
const maxUnseen = 10

// unseen says whether the looks for the instance of a job's call are refused for the job
// itself, so that waiting does not help: others are let in, or the words are about the
// request or not known, and the lane is open.
func (w *Worker) unseen(l *lane, r tasks.Record, v classify.Verdict, own bool, e *cams.Error) bool {
	if r.Now.Sub(r.Since) < w.cfg.SettleWindow {
		return false
	}
	if own {
		return v.Outcome == tasks.OutcomeRejected
	}
	refused := e.Status != 0 && !v.Throttled && (v.Kind == classify.KindRequest || v.Kind == classify.KindUnknown)
	return refused && r.Delays >= maxUnseen && !l.isTripped()
}

// holdUnseen parks a job in doubt that cannot be looked up: only a person can tell now
// whether its call has made an instance.
//
// Dies before the step: the next look is refused too, and the turn comes here again.
func (w *Worker) holdUnseen(ctx context.Context, l *lane, r tasks.Record, v classify.Verdict, err error) error {
	classify.Describe(&r, v, err)
	if classify.Contradicted(err) {
		r.Code = tasks.CodeContradicted
	}
	r.Message = strings.TrimSuffix("a call may have made an instance, and the looks for it are refused: "+r.Message, ": ")
	by, named := tasks.StepUnfound, []cams.Instance(nil)
	if r.State == tasks.StateQueued {
		by = tasks.StepChoose
	}
	if r.Named != "" {
		named = []cams.Instance{{InstanceID: r.Named}}
	}
	return w.hold(ctx, l, r, by, named)
}

// comeBack notes when the job is due again and asks the queue for it.
func (w *Worker) comeBack(ctx context.Context, r tasks.Record, due time.Duration, why string) error {
	r, err := w.cfg.Store.Note(ctx, r, due)
	if err != nil {
		return again(err)
	}
	return &SnoozeError{r.Wait(), why}
}

// unclaimed drops the instances that other jobs have.
func (w *Worker) unclaimed(ctx context.Context, r tasks.Record, found []cams.Instance) ([]cams.Instance, error) {
	return w.unclaimedOr(ctx, r, found, func(cams.Instance) bool { return false })
}

// unclaimedOr drops the instances that other jobs have, but those that count all the same.
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

func (w *Worker) looked(l *lane, result string) {
	if w.cfg.Hooks.Lookup != nil {
		w.cfg.Hooks.Lookup(l.Account, result)
	}
}

// eventInstance is an instance as the receiver is told of it: under the name and the
// channel type that the producer asked for, however the API spells them.
func eventInstance(r tasks.Record, i cams.Instance) *tasks.EventInstance {
	return &tasks.EventInstance{
		InstanceID: i.InstanceID, InstanceName: r.Request.InstanceName, ChannelType: r.Request.ChannelType,
		ResourceRegionID: i.ResourceRegionID, SubmitTime: i.SubmitTime,
	}
}
