package worker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// baseline notes which instances of the job's name stand there before its first
// call, so that recovery can tell an old one from the job's own, and does with a
// job that meets one what the configuration says. The begin step writes it.
func (w *Worker) baseline(ctx context.Context, l *lane, r tasks.Record) (tasks.Record, error) {
	found, err := w.find(ctx, l, r)
	if err != nil {
		return r, w.cannotList(ctx, l, r, err)
	}
	ids := make([]string, 0, len(found))
	for _, i := range found {
		ids = append(ids, i.InstanceID)
	}
	r.Baseline = &ids
	if len(found) == 0 || w.Existing == ExistingCreate {
		return r, nil
	}
	if w.Existing == ExistingAdopt {
		free, err := w.unclaimed(ctx, r, found)
		if err != nil {
			return r, err
		}
		if len(free) == 1 {
			r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, free[0]), true, "OK", ""
			return ended(r, again(w.end(ctx, l, r, tasks.StepAdopt)))
		}
		if len(free) > 1 {
			choose(&r, free)
			return ended(r, again(w.end(ctx, l, r, tasks.StepChoose)))
		}
	}
	r.Code = tasks.CodeExists
	r.Message = "instances of that channel type and name exist already: " + listIDs(ids)
	return ended(r, again(w.end(ctx, l, r, tasks.StepExists)))
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
		return &Later{d, "whether the call made an instance is not known yet"}
	}
	if len(r.Candidates) > 0 { // of a dispute whose turn died
		return again(w.end(ctx, l, r, tasks.StepSeveral))
	}
	if err := w.permit(ctx, l, r.Ref(), true); err != nil {
		return err
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	found, err := w.find(wait, l, r)
	if err != nil {
		w.looked(l, "failed")
		return w.cannotList(wait, l, r, err)
	}
	if ended, err := w.take(ctx, l, r, found); ended || err != nil {
		return err
	}
	// r.Now is from before the look, so a window that was over then is over for the look.
	if left := w.SettleWindow - r.Now.Sub(r.Since); left > 0 {
		due := min(w.ReconcileDelay<<min(r.Looks+1, 10), max(left, time.Second))
		r.Looks, r.Delays = r.Looks+1, 0
		return w.comeBack(ctx, r, due, "whether the call made an instance is not known yet")
	}
	if r.Named != "" {
		return again(w.contradicted(ctx, l, r, nil))
	}
	r.Message = fmt.Sprintf("no instance in %d looks over %v after a call that ended with %s",
		r.Looks+1, r.Now.Sub(r.Since).Round(time.Second), orElse(r.Code, "no answer"))
	r.Code, r.Looks = tasks.CodeAbsent, 0
	if w.Absent == AbsentHold {
		return again(w.end(ctx, l, r, tasks.StepUnfound))
	}
	if r, err = w.Ledger.Step(ctx, r, tasks.StepAbsent, backoffDelay(r.Tries, w.RetryMin, w.RetryMax)); err != nil {
		return again(err)
	}
	return &Later{r.Wait(), "the call made no instance and is made again"}
}

// take ends a job of whose calls one has no answer, if what was found tells how
// it ended: one instance that was not there before and is no other job's is the
// job's own, and between several a person must choose.
func (w *Worker) take(ctx context.Context, l *lane, r tasks.Record, found []cams.Instance) (ended bool, err error) {
	var fresh []cams.Instance
	for _, i := range found {
		if !r.InBaseline(i.InstanceID) {
			fresh = append(fresh, i)
		}
	}
	if fresh, err = w.unclaimed(ctx, r, fresh); err != nil {
		return false, err
	}
	switch {
	case len(fresh) == 1 && r.Named != "" && !strings.EqualFold(fresh[0].InstanceID, r.Named):
		w.looked(l, "several")
		return true, again(w.contradicted(ctx, l, r, fresh))
	case len(fresh) == 1:
		w.looked(l, "found")
		r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, fresh[0]), true, "OK", ""
		return true, again(w.end(ctx, l, r, tasks.StepFound))
	case len(fresh) > 1:
		w.looked(l, "several")
		choose(&r, fresh)
		return true, again(w.end(ctx, l, r, tasks.StepSeveral))
	}
	w.looked(l, "absent")
	return false, nil
}

// contradicted parks a job whose call was answered with an instance by an answer that is
// no success, when the looks do not show that it is the job's: to call again might make a
// second one.
func (w *Worker) contradicted(ctx context.Context, l *lane, r tasks.Record, found []cams.Instance) error {
	r.Candidates = []string{r.Named}
	r.Message = "the answer to a call named instance " + r.Named + " and contradicted itself or the request"
	for _, f := range found {
		r.Candidates = append(r.Candidates, f.InstanceID)
		r.Message += "; a look found " + f.InstanceID
	}
	r.Code = tasks.CodeContradicted
	return w.end(ctx, l, r, tasks.StepSeveral)
}

// lookFirst looks once for the instance of an earlier call, before a job that a
// person put back calls again. It may be days since recovery looked.
func (w *Worker) lookFirst(ctx context.Context, l *lane, r tasks.Record) (tasks.Record, error) {
	found, err := w.find(ctx, l, r)
	if err != nil {
		w.looked(l, "failed")
		return r, w.cannotList(ctx, l, r, err)
	}
	if done, err := w.take(ctx, l, r, found); done || err != nil {
		return ended(r, err)
	}
	return r, nil
}

// cannotList puts a job off whose look at the instances failed. It costs no try:
// nothing was at stake. The state stays as it is, since no answer is no evidence.
func (w *Worker) cannotList(ctx context.Context, l *lane, r tasks.Record, err error) error {
	e, ok := asCall(err)
	if !ok {
		return err // the wait, not the call
	}
	v := classify(err)
	w.pace(ctx, l, r, ActionList, v, err)
	r.Delays++
	due := max(e.RetryAfter, backoffDelay(r.Delays, w.RetryMin, w.RetryMax))
	switch {
	case v.throttled:
		due = w.throttledDelay(r.Delays, err)
	case v.outcome == tasks.OutcomeBlocked && r.State == tasks.StateQueued:
		due = e.RetryAfter // the breaker holds the job back
	}
	if r.State == tasks.StateQueued {
		answer(&r, v, err)
	}
	return w.comeBack(context.WithoutCancel(ctx), r, due, "its instances could not be listed: "+orElse(e.Code, "no answer"))
}

// comeBack notes when the job is due again and asks the queue for it.
func (w *Worker) comeBack(ctx context.Context, r tasks.Record, due time.Duration, why string) error {
	r, err := w.Ledger.Note(ctx, r, due)
	if err != nil {
		return again(err)
	}
	return &Later{r.Wait(), why}
}

// unclaimed drops the instances that other jobs have.
func (w *Worker) unclaimed(ctx context.Context, r tasks.Record, found []cams.Instance) ([]cams.Instance, error) {
	if len(found) == 0 {
		return nil, nil
	}
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = f.InstanceID
	}
	claimed, err := w.Ledger.Claimed(ctx, r, ids)
	if err != nil {
		return nil, err
	}
	var free []cams.Instance
	for _, f := range found {
		if !claimed[f.InstanceID] {
			free = append(free, f)
		}
	}
	return free, nil
}

// choose makes a record say between which instances a person must choose.
func choose(r *tasks.Record, found []cams.Instance) {
	ids := make([]string, len(found))
	for i, f := range found {
		ids[i] = f.InstanceID
	}
	r.Candidates = ids[:min(len(ids), mostListed)]
	r.Code = tasks.CodeSeveral
	r.Message = "several instances may be this job's: " + listIDs(ids)
}

// mostListed bounds how many instances a record and its message name: a person chooses
// between them, and a webhook carries them.
const mostListed = 50

// listIDs names instances, so many of them.
func listIDs(ids []string) string {
	text := strings.Join(ids[:min(len(ids), mostListed)], ", ")
	if more := len(ids) - mostListed; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

func (w *Worker) looked(l *lane, result string) {
	if w.Hooks.Look != nil {
		w.Hooks.Look(l.Account, result)
	}
}
