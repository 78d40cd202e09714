package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/internal/finalize"
	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/tasks"
)

// The API's actions, as limits and breaker name them.
const (
	ActionCreate = "CreateInstance"
	ActionList   = "ListInstance"
)

// Process is one turn of a job: it looks at the record and takes the job as far as
// it can be taken now. It returns nil if the queue may forget the job, a
// [*SnoozeError] if the job must come back, tasks.ErrNotFound or tasks.ErrUnreadable
// if there is no record to go by, or what Redis answered. It may be called
// at any time, twice, and beside itself.
func (w *Worker) Process(ctx context.Context, ref tasks.Ref) error { return w.process(ctx, ref, nil) }

func (w *Worker) process(ctx context.Context, ref tasks.Ref, entry *gate.Admission) error {
	l := w.lanes[ref.Account]
	if l == nil {
		return &SnoozeError{time.Minute, "this worker has no account " + ref.Account}
	}
	r, err := w.cfg.Store.Get(ctx, ref)
	if err != nil {
		return err
	}
	ctx = withTurnID(ctx)
	defer w.unprobe(ctx, l, ref)
	switch r.State {
	case tasks.StateQueued:
		return w.call(ctx, l, r, entry)
	case tasks.StateCalling:
		return w.afterCaller(ctx, l, r)
	case tasks.StateUncertain:
		return w.recover(ctx, l, r)
	case tasks.StateCreated, tasks.StateFailed, tasks.StateHeld, tasks.StateCancelled:
	}
	return w.tell(ctx, r)
}

// afterCaller deals with a job whose mark stands. Until the call's deadline has
// passed its caller may be alive, and nobody may judge. After it the caller has
// died, or could not write how the call ended.
func (w *Worker) afterCaller(ctx context.Context, l *lane, r tasks.Record) error {
	if r.Wait() > 0 {
		return w.early(ctx, l, r)
	}
	r.Code, r.Message, r.RequestID = tasks.CodeCallerDied, "the process that was calling did not say how the call ended", ""
	return w.doubt(ctx, r)
}

// early looks once while the call may still be on the wire: a task that comes a second
// time is most likely one of a worker that is gone, and what its call has made need not
// wait for the deadline. Only an instance that is there proves anything. A caller that is
// alive finds the job created, with the instance of its own answer.
func (w *Worker) early(ctx context.Context, l *lane, r tasks.Record) error {
	onTheWire := &SnoozeError{r.Wait(), "a call may still be on the wire"}
	if w.permit(ctx, l, r, true) != nil {
		return onTheWire
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	s, err := w.survey(wait, l, r, false)
	if err != nil {
		if _, answered := classify.CallError(err); answered {
			w.pace(ctx, l, r, ActionList, classify.Of(err), err)
		}
		return onTheWire
	}
	fresh, err := w.unclaimed(ctx, r, without(s.exact, r.InBaseline))
	if err != nil || len(fresh) != 1 || s.over {
		return onTheWire
	}
	w.looked(l, "found")
	r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, fresh[0]), true, "OK", ""
	return again(w.end(ctx, l, r, tasks.StepFound))
}

// doubt makes a calling job uncertain.
func (w *Worker) doubt(ctx context.Context, r tasks.Record) error {
	r.Looks, r.Delays, r.Doubted, r.Vouched = 0, 0, true, false
	r, err := w.cfg.Store.Step(ctx, r, tasks.StepAmbiguous, w.cfg.ReconcileDelay)
	if err != nil {
		return again(err)
	}
	return &SnoozeError{r.Wait(), "whether the call made an instance is not known yet"}
}

// call takes a queued job through its call. Beside each step stands what the
// next turn finds if the process dies there.
func (w *Worker) call(ctx context.Context, l *lane, r tasks.Record, entry *gate.Admission) error {
	if r.Request.ChannelType == "" || r.Request.InstanceName == "" {
		return fmt.Errorf("worker: job %s: %w: it asks for no channel type or no instance name", r.Ref(), tasks.ErrUnreadable)
	}
	if d := r.Wait(); d > 0 {
		return &SnoozeError{d, "it waits after " + cmp.Or(r.Code, "an earlier try")}
	}
	if code := w.spent(r); code != "" {
		r.Message = strings.TrimSuffix(fmt.Sprintf("gave up after %d tries; the last one ended with %s: %s", r.Tries, cmp.Or(r.Code, "no answer"), r.Message), ": ")
		r.Code = lastWord(r.Code, code)
		return again(w.end(ctx, l, r, tasks.StepSpent))
	}

	// Dies before the mark: the job is queued, and nothing has happened. The name comes
	// before the permit: a job that waits for its twin must not take the probe from it.
	holder, err := w.cfg.Store.Claim(ctx, r)
	if err != nil {
		return err
	}
	if holder != r.ID {
		return &SnoozeError{5 * time.Second, "job " + holder + " has the same channel type and instance name, and has not ended"}
	}
	if err := w.permit(ctx, l, r, false); err != nil {
		return err
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	switch {
	case r.LookFirst():
		r, err = w.lookFirst(wait, l, r)
	case r.Baseline == nil, r.Vouched && !r.Doubted:
		r, err = w.baseline(wait, l, r)
	}
	if err != nil || r.State != tasks.StateQueued {
		return err
	}
	waited, err := w.wait(wait, l, ActionCreate, r.Priority)
	if err == nil {
		err = wait.Err()
	}
	if err != nil {
		return w.interrupted(wait, err)
	}
	entry.Through(waited)
	if err := w.permit(ctx, l, r, false); err != nil {
		return err // somebody has paused the account, or the API refused it, meanwhile
	}

	// The mark. Its deadline runs on Redis's clock from after start; the call's own
	// runs from start, so it is over first, and settling has the time between.
	start := time.Now()
	ctx = context.WithoutCancel(ctx) // from here on the queue may not interrupt
	r, err = w.begin(ctx, r)
	if err != nil {
		return again(err)
	}

	// Dies from here to the end of settling: the job is calling. After the deadline
	// a turn makes it uncertain, and the API is asked what there is.
	instance, err := w.create(ctx, l, r, start)
	took := time.Since(start)
	w.called(r, ActionCreate, took, err)
	v := classify.Of(err)
	a := tasks.Attempt{
		Account: r.Account, JobID: r.ID, Outcome: v.Outcome, Try: r.Tries,
		Waited: waited, Took: took, Age: r.Now.Sub(r.EnqueuedAt) + took,
	}
	if e, ok := classify.CallError(err); ok {
		a.Status, a.Code, a.RequestID = e.Status, e.Code, e.RequestID
		if e.Code == "" {
			told := r
			classify.Describe(&told, v, err)
			a.Reason = told.Message
		}
	} else if err == nil {
		a.Status, a.Code, a.RequestID = 200, "OK", instance.RequestID
	}
	next := w.settle(ctx, l, r, v, instance, err)

	// Dies here: the job has its outcome; the next turn queues the callback, or the
	// sweeper does.
	if w.cfg.Hooks.Attempt != nil {
		w.cfg.Hooks.Attempt(a)
	}
	// A blocked call is news of the account's, which the breaker warns of once.
	level := slog.LevelInfo
	if v.Outcome == tasks.OutcomeAmbiguous {
		level = slog.LevelWarn
	}
	w.cfg.Log.LogAttrs(ctx, level, "call", a.LogValue().Group()...)
	return next
}

// spent returns the code of the budget that the job has used up, or "".
func (w *Worker) spent(r tasks.Record) string {
	switch {
	case r.Tries >= w.cfg.MaxTries, r.Unknown >= maxUnknown:
		return tasks.CodeTriesSpent
	case r.Tries > 0 && r.Now.Sub(r.FirstTry) > w.cfg.MaxAge:
		return tasks.CodeAgeSpent
	}
	return ""
}

// create makes the call, unless too much of its time is gone already: a process
// that was frozen between mark and call must not send when others may judge. The
// wall clock is asked too, since the other one may stop while a machine is
// suspended; if it jumps, a call is put off at worst.
func (w *Worker) create(ctx context.Context, l *lane, r tasks.Record, start time.Time) (cams.Instance, error) {
	if max(time.Since(start), time.Now().Round(0).Sub(start.Round(0))) > w.cfg.CallTimeout/2 {
		return cams.Instance{}, &cams.Error{
			Op: "CreateInstance", Err: errors.New("not sent, since writing the mark took too long"),
		}
	}
	ctx, cancel := context.WithDeadline(ctx, start.Add(w.cfg.CallTimeout))
	defer cancel()
	return l.API.CreateInstance(ctx, cams.CreateInstanceRequest(r.Request))
}

// settle writes how the call ended, and says what the queue is to do.
func (w *Worker) settle(ctx context.Context, l *lane, r tasks.Record, v classify.Verdict, instance cams.Instance, callErr error) error {
	l.doubtUnknown(&r, v, callErr)
	v, own := l.blame(&r, v)
	if !own {
		w.pace(ctx, l, r, ActionCreate, v, callErr)
	}
	classify.Describe(&r, v, callErr)
	r.Named = classify.NamedInstance(callErr)
	if !v.Outcome.CostsTry() {
		r.Tries--
		if r.Tries == 0 {
			r.FirstTry = time.Time{}
		}
		r.Delays++
	} else {
		r.Delays = 0
	}
	due := time.Duration(0)
	switch v.Outcome {
	case tasks.OutcomeSucceeded:
		l.admitted(r.Since)
		r.Instance, r.RequestID = eventInstance(r, instance), instance.RequestID
		return w.succeed(ctx, l, r)
	case tasks.OutcomeRejected:
		return again(w.end(ctx, l, r, tasks.StepRejected))
	case tasks.OutcomeThrottled:
		due = w.throttledDelay(r.Delays, callErr)
	case tasks.OutcomeBlocked:
		due = classify.RetryAfter(callErr) // the breaker holds the job back
		if own {
			due = max(due, backoffDelay(r.Refusals, 5*w.cfg.RetryMin, w.cfg.RetryMax))
		}
	case tasks.OutcomeUnsent:
		due = backoffDelay(r.Tries, w.cfg.RetryMin, w.cfg.RetryMax)
	case tasks.OutcomeAmbiguous:
		return w.doubt(ctx, r)
	}
	r, err := w.cfg.Store.Step(ctx, r, v.Outcome.Step(), due)
	if err != nil {
		return again(err)
	}
	return &SnoozeError{r.Wait(), "it waits after " + r.Code}
}

// freely is how often in a row a job may be throttled before it waits by itself.
// The limiter makes it wait for a slot as it is.
const freely = 3

// throttledDelay is how long a job waits that was throttled n times in a row. After the
// first few it comes later than the pause that it was told, which is the account's too: if
// it came with the others each time, it might have the pause begin anew before any of them.
func (w *Worker) throttledDelay(n int, err error) time.Duration {
	if n <= freely {
		return classify.RetryAfter(err)
	}
	return classify.RetryAfter(err) + backoffDelay(n-freely, w.cfg.RetryMin, w.cfg.RetryMax)
}

// succeed records an instance that the API returned. Knowing it is worth more
// than what others concluded meanwhile, so it is recorded wherever the job stands.
func (w *Worker) succeed(ctx context.Context, l *lane, r tasks.Record) error {
	made, requestID := r.Instance, r.RequestID
	err := w.end(ctx, l, r, tasks.StepSucceeded)
	for errors.Is(err, tasks.ErrConflict) {
		// Settling came so late that another turn has judged.
		now, getErr := w.cfg.Store.Get(ctx, r.Ref())
		if getErr != nil {
			err = getErr
			break
		}
		if now.Instance != nil && now.Instance.InstanceID == made.InstanceID {
			return w.tell(ctx, now)
		}
		by := map[tasks.State]tasks.Step{
			tasks.StateUncertain: tasks.StepFound,
			tasks.StateQueued:    tasks.StepAdopt,
			tasks.StateHeld:      tasks.StepResolveCreated,
		}[now.State]
		if by == "" {
			break // it has ended otherwise, or another call is on the wire, whose turn must judge
		}
		r = now
		r.Instance, r.Code, r.Message, r.RequestID = made, "OK", "", requestID
		err = w.end(ctx, l, r, by)
	}
	if errors.Is(err, tasks.ErrClaimed) {
		return w.disputed(ctx, l, r)
	}
	if _, told := errors.AsType[*SnoozeError](err); err != nil && !told {
		// If the mark stands, recovery will find the instance. The line is for the
		// case that it does not.
		w.cfg.Log.Error("an instance was created and could not be recorded",
			"job", r.Ref().String(), "instance_id", made.InstanceID, "error", err)
	}
	return again(err)
}

// disputed parks a job whose instance another job already has: one of the two
// was told wrongly, and only a person can tell which.
func (w *Worker) disputed(ctx context.Context, l *lane, r tasks.Record) error {
	r.Candidates = []string{r.Instance.InstanceID}
	r.Message = "the API returned instance " + r.Instance.InstanceID + ", which another job has"
	r.Instance, r.Code = nil, tasks.CodeSeveral
	if r.State == tasks.StateCalling {
		// Dies after this step: recovery sees the candidate, and parks the job too.
		r.Doubted = true
		var err error
		if r, err = w.cfg.Store.Step(ctx, r, tasks.StepAmbiguous, 0); err != nil {
			return again(err)
		}
	}
	switch r.State {
	case tasks.StateUncertain:
		return again(w.end(ctx, l, r, tasks.StepSeveral))
	case tasks.StateQueued:
		return again(w.end(ctx, l, r, tasks.StepChoose))
	case tasks.StateCalling, tasks.StateHeld, tasks.StateCreated, tasks.StateFailed, tasks.StateCancelled:
	}
	return nil // parked already
}

// end ends a job and queues its callback.
func (w *Worker) end(ctx context.Context, l *lane, r tasks.Record, by tasks.Step) error {
	r.Delays = 0
	r, err := w.finalizer().End(ctx, r, by, l.CallbackURL)
	if err != nil {
		return err
	}
	return w.tell(ctx, r)
}

func (w *Worker) finalizer() finalize.Finalizer {
	return finalize.Finalizer{Store: w.cfg.Store, Queue: w.cfg.Queue, OnFinish: w.cfg.Hooks.Finish, Log: w.cfg.Log}
}

// again makes the queue come back after an error that the next turn may not meet.
func again(err error) error {
	if errors.Is(err, tasks.ErrConflict) {
		return &SnoozeError{time.Second, "another turn of the job came first"}
	}
	return err
}

// untilDraining returns a context that also ends when the worker stops.
func (w *Worker) untilDraining(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.draining, func() { cancel(errDraining) })
	return ctx, func() { stop(); cancel(nil) }
}

// interrupted turns the end of a wait into what the queue is to do.
func (w *Worker) interrupted(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errDraining) {
		return &SnoozeError{0, errDraining.Error()}
	}
	if again, ok := errors.AsType[RetryAfterer](err); ok {
		return &SnoozeError{again.RetryAfter(), "the account's quota is used up for that long"}
	}
	return err
}

// wait waits for the account's quota of an action.
func (w *Worker) wait(ctx context.Context, l *lane, action string, p tasks.Priority) (time.Duration, error) {
	wait := l.limiter(action).Wait
	if p == tasks.PriorityHigh {
		wait = l.limiter(action).WaitUrgent
	}
	waited, err := wait(ctx)
	if w.cfg.Hooks.Waited != nil {
		w.cfg.Hooks.Waited(l.Account, action, waited)
	}
	return waited, err
}

func (l *lane) limiter(action string) Limiter {
	if action == ActionList {
		return l.List
	}
	return l.Create
}
