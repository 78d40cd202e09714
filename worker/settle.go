package worker

import (
	"context"
	"errors"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/backoff"
	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/internal/finalize"
	"github.com/camsq/camsq/tasks"
)

// settle writes the outcome of the call, and returns what [Worker.Process] returns.
//
// Dies before the write: the job is calling, and a turn after the deadline makes it
// uncertain.
func (w *Worker) settle(ctx context.Context, l *lane, r tasks.Record, v classify.Verdict, instance cams.Instance, callErr error) error {
	l.countUnknownCode(&r, v, callErr)
	v, ofJob := l.blame(&r, v)
	if !ofJob {
		w.updateLane(ctx, l, r, ActionCreate, v, callErr)
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
		l.recordSuccess(r.Since)
		r.Instance, r.RequestID = eventInstance(r, instance), instance.RequestID
		return w.succeed(ctx, l, r)
	case tasks.OutcomeRejected:
		return onConflict(w.end(ctx, l, r, tasks.StepRejected))
	case tasks.OutcomeThrottled:
		due = w.throttledDelay(r.Delays, callErr)
	case tasks.OutcomeBlocked:
		due = classify.RetryAfter(callErr) // the breaker delays the job
		if ofJob {
			due = max(due, backoff.Delay(r.Refusals, 5*w.cfg.RetryMin, w.cfg.RetryMax))
		}
	case tasks.OutcomeUnsent:
		due = backoff.Delay(r.Tries, w.cfg.RetryMin, w.cfg.RetryMax)
	case tasks.OutcomeAmbiguous:
		return w.markUncertain(ctx, r)
	}
	r, err := w.cfg.Store.Transition(ctx, r, v.Outcome.Step(), due)
	if err != nil {
		return onConflict(err)
	}
	return &SnoozeError{r.Wait(), "it waits after " + r.Code}
}

// freely is how often in a row a job may be throttled before it also waits by itself. The
// limiter already makes it wait for its quota.
const freely = 3

// throttledDelay returns how long a job waits after it was throttled n times in a row. After
// the first few times it comes back later than the pause that the API asked for, which is
// the account's too: if it came back with the others, it might restart the pause before any
// of them has called.
func (w *Worker) throttledDelay(n int, err error) time.Duration {
	if n <= freely {
		return classify.RetryAfter(err)
	}
	return classify.RetryAfter(err) + backoff.Delay(n-freely, w.cfg.RetryMin, w.cfg.RetryMax)
}

// succeed records an instance that the API returned. This answer is better evidence than
// what other turns have concluded meanwhile, so it is recorded in whichever state the job is.
//
// Dies before the write: the job is calling, and a lookup finds the instance.
func (w *Worker) succeed(ctx context.Context, l *lane, r tasks.Record) error {
	made, requestID := r.Instance, r.RequestID
	err := w.end(ctx, l, r, tasks.StepSucceeded)
	for errors.Is(err, tasks.ErrConflict) {
		// This turn settles so late that another turn has already judged the call.
		now, getErr := w.cfg.Store.Get(ctx, r.Ref())
		if getErr != nil {
			err = getErr
			break
		}
		if now.Instance != nil && now.Instance.InstanceID == made.InstanceID {
			return w.enqueueCallback(ctx, now)
		}
		by := map[tasks.State]tasks.Step{
			tasks.StateUncertain: tasks.StepFound,
			tasks.StateQueued:    tasks.StepAdopt,
			tasks.StateHeld:      tasks.StepResolveCreated,
		}[now.State]
		if by == "" {
			break // it has ended otherwise, or another call is in flight, whose turn must judge
		}
		r = now
		r.Instance, r.Code, r.Message, r.RequestID = made, "OK", "", requestID
		err = w.end(ctx, l, r, by)
	}
	if errors.Is(err, tasks.ErrClaimed) {
		return w.disputed(ctx, l, r)
	}
	if _, snoozed := errors.AsType[*SnoozeError](err); err != nil && !snoozed {
		// If the record is still marked, a lookup will find the instance. The log is for
		// the case that it does not.
		w.cfg.Log.Error("the API created an instance, and it could not be recorded",
			"job", r.Ref().String(), "instance_id", made.InstanceID, "error", err)
	}
	return onConflict(err)
}

// disputed holds a job whose instance already belongs to another job. One of the two
// outcomes is wrong, and only an operator can decide which.
func (w *Worker) disputed(ctx context.Context, l *lane, r tasks.Record) error {
	r.Candidates = []string{r.Instance.InstanceID}
	r.Message = "the API returned instance " + r.Instance.InstanceID + ", which another job has"
	r.Instance, r.Code = nil, tasks.CodeSeveral
	if r.State == tasks.StateCalling {
		// Dies after this step: recovery sees the candidate, and holds the job too.
		r.Doubted = true
		var err error
		if r, err = w.cfg.Store.Transition(ctx, r, tasks.StepAmbiguous, 0); err != nil {
			return onConflict(err)
		}
	}
	switch r.State {
	case tasks.StateUncertain:
		return onConflict(w.end(ctx, l, r, tasks.StepSeveral))
	case tasks.StateQueued:
		return onConflict(w.end(ctx, l, r, tasks.StepChoose))
	case tasks.StateCalling, tasks.StateHeld, tasks.StateCreated, tasks.StateFailed, tasks.StateCancelled:
	}
	return nil // it is held already
}

// end ends a job and queues its callback.
func (w *Worker) end(ctx context.Context, l *lane, r tasks.Record, by tasks.Step) error {
	r.Delays = 0
	r, err := w.finalizer().End(ctx, r, by, l.CallbackURL)
	if err != nil {
		return err
	}
	return w.enqueueCallback(ctx, r)
}

func (w *Worker) finalizer() finalize.Finalizer {
	return finalize.Finalizer{Store: w.cfg.Store, Queue: w.cfg.Queue, OnFinish: w.cfg.Hooks.Finish, Log: w.cfg.Log}
}
