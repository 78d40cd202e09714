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
	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/tasks"
)

// The API's actions, by which rate limits and breakers are kept.
const (
	ActionCreate = "CreateInstance"
	ActionList   = "ListInstance"
)

// Process is one turn of a job: it reads the record and takes the job as far as possible.
// It returns nil if the queue may forget the job, a [*SnoozeError] if the job must come
// back, tasks.ErrNotFound or tasks.ErrUnreadable if there is no usable record, or the error
// of Redis. It may be called at any time, more than once, and concurrently for one job.
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
	defer w.abortProbe(ctx, l, ref)
	switch r.State {
	case tasks.StateQueued:
		return w.call(ctx, l, r, entry)
	case tasks.StateCalling:
		return w.onStaleCall(ctx, l, r)
	case tasks.StateUncertain:
		return w.recover(ctx, l, r)
	case tasks.StateCreated, tasks.StateFailed, tasks.StateHeld, tasks.StateCancelled:
	}
	return w.enqueueCallback(ctx, r)
}

// onStaleCall handles a job whose record is marked as calling. Until the deadline of the
// call has passed, the calling worker may be alive and its call may succeed. After the
// deadline that worker has died, or could not write the outcome.
func (w *Worker) onStaleCall(ctx context.Context, l *lane, r tasks.Record) error {
	if r.Wait() > 0 {
		return w.early(ctx, l, r)
	}
	r.Code, r.Message, r.RequestID = tasks.CodeCallerDied, "the worker died during the call, or could not write its outcome", ""
	return w.markUncertain(ctx, r)
}

// early looks the instance up once while the call may still be in flight. A task that comes
// a second time most likely belongs to a dead worker, and the instance that its call created
// need not wait for the deadline. Only an instance that is found proves anything. A worker
// that is alive finds the job created, with the instance of its own answer.
func (w *Worker) early(ctx context.Context, l *lane, r tasks.Record) error {
	onTheWire := &SnoozeError{r.Wait(), "a call may still be in flight"}
	if w.allow(ctx, l, r, true) != nil {
		return onTheWire
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	s, err := w.lookUp(wait, l, r, false)
	if err != nil {
		if _, answered := classify.CallError(err); answered {
			w.updateLane(ctx, l, r, ActionList, classify.Of(err), err)
		}
		return onTheWire
	}
	fresh, err := w.unclaimed(ctx, r, without(s.exact, r.InBaseline))
	if err != nil || len(fresh) != 1 || s.over {
		return onTheWire
	}
	w.countLookup(l, "found")
	r.Instance, r.Adopted, r.Code, r.Message = eventInstance(r, fresh[0]), true, "OK", ""
	return onConflict(w.end(ctx, l, r, tasks.StepFound))
}

// markUncertain makes a calling job uncertain.
//
// Dies before the write: the job is calling, and a turn after the deadline comes here.
func (w *Worker) markUncertain(ctx context.Context, r tasks.Record) error {
	r.Lookups, r.Delays, r.Doubted, r.Vouched = 0, 0, true, false
	r, err := w.cfg.Store.Transition(ctx, r, tasks.StepAmbiguous, w.cfg.ReconcileDelay)
	if err != nil {
		return onConflict(err)
	}
	return &SnoozeError{r.Wait(), "it is not known yet whether the call created an instance"}
}

// call takes a queued job through its call. The comments say what the next turn finds if
// the process dies at that line.
func (w *Worker) call(ctx context.Context, l *lane, r tasks.Record, entry *gate.Admission) error {
	if r.Request.ChannelType == "" || r.Request.InstanceName == "" {
		return fmt.Errorf("worker: job %s: %w: the request has no channel type or no instance name", r.Ref(), tasks.ErrUnreadable)
	}
	if d := r.Wait(); d > 0 {
		return &SnoozeError{d, "it waits after " + cmp.Or(r.Code, "an earlier try")}
	}
	if code := w.spent(r); code != "" {
		r.Message = strings.TrimSuffix(fmt.Sprintf("gave up after %d tries; the last one ended with %s: %s", r.Tries, cmp.Or(r.Code, "no answer"), r.Message), ": ")
		r.Code = lastWord(r.Code, code)
		return onConflict(w.end(ctx, l, r, tasks.StepSpent))
	}

	// Dies before the mark: the job is queued, and nothing was sent. The name is claimed
	// before the breaker is asked: a job that waits for another job of its name must not take
	// the probe from it.
	holder, err := w.cfg.Store.LockName(ctx, r)
	if err != nil {
		return err
	}
	if holder != r.ID {
		return &SnoozeError{5 * time.Second, "job " + holder + " has the same channel type and instance name, and has not ended"}
	}
	if err := w.allow(ctx, l, r, false); err != nil {
		return err
	}
	wait, stop := w.untilDraining(ctx)
	defer stop()
	switch {
	case r.LookupFirst():
		r, err = w.lookUpFirst(wait, l, r)
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
	if err := w.allow(ctx, l, r, false); err != nil {
		return err // the account was paused, or the API refused it, meanwhile
	}

	// The mark. Its deadline runs by the clock of Redis and begins after start. The deadline
	// of the call begins at start, so it passes first, and the time between is for settling.
	start := time.Now()
	ctx = context.WithoutCancel(ctx) // from here on the queue may not interrupt
	r, err = w.markCalling(ctx, r)
	if err != nil {
		return onConflict(err)
	}

	// Dies from here to the end of settling: the job is calling. After the deadline a turn
	// makes it uncertain, and lookups find out whether the API has created the instance.
	instance, err := w.create(ctx, l, r, start)
	took := time.Since(start)
	w.countCall(r, ActionCreate, took, err)
	v := classify.Of(err)
	a := tasks.Attempt{
		Account: r.Account, JobID: r.ID, Outcome: v.Outcome, Try: r.Tries,
		Waited: waited, Took: took, Age: r.Now.Sub(r.EnqueuedAt) + took,
	}
	if e, ok := classify.CallError(err); ok {
		a.Status, a.Code, a.RequestID = e.Status, e.Code, e.RequestID
		if e.Code == "" {
			described := r
			classify.Describe(&described, v, err)
			a.Reason = described.Message
		}
	} else if err == nil {
		a.Status, a.Code, a.RequestID = 200, "OK", instance.RequestID
	}
	next := w.settle(ctx, l, r, v, instance, err)

	// Dies here: the job has its outcome. The next turn queues the callback, or the sweeper
	// does.
	if w.cfg.Hooks.Attempt != nil {
		w.cfg.Hooks.Attempt(a)
	}
	// A blocked call concerns the account, for which the breaker warns once.
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

// create makes the call, unless too much of its time has passed: a process that was frozen
// between mark and call must not send when others may already have judged the call. The wall
// clock counts too, since the monotonic clock may stop while a machine is suspended. If the
// wall clock jumps, the worst result is a delayed call.
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

// onConflict turns a conflict into a retry: the next turn reads the record again.
func onConflict(err error) error {
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

// interrupted returns what [Worker.Process] returns after a wait that failed.
func (w *Worker) interrupted(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errDraining) {
		return &SnoozeError{0, errDraining.Error()}
	}
	if again, ok := errors.AsType[RetryAfterer](err); ok {
		return &SnoozeError{again.RetryAfter(), "the account's quota is used up until then"}
	}
	return err
}

// wait waits for the account's quota of an action, and returns how long it waited.
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
