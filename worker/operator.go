package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// OperatorLedger is what an [Operator] needs of the ledger: see [Ledger].
type OperatorLedger interface {
	Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error)
	Step(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error)
	Note(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error)
	Batches
	// Owner returns the ID of the account's job that has the instance, or "".
	Owner(ctx context.Context, account, instanceID string) (string, error)
}

// Queue puts tasks on their way to a worker. Doing it twice is harmless.
type Queue interface {
	Callbacks
	// Provision does it for jobs of one account whose tasks have ended.
	Provision(ctx context.Context, account string, ids []string) error
}

// Operator carries out what a person decides about jobs that go no further by
// themselves. A decision is written before its task is queued: if queueing
// fails, or the process dies, the sweeper queues the task.
type Operator struct {
	Ledger OperatorLedger
	Queue  Queue
	// Receiver is who is told of the jobs of an account that name nobody
	// themselves. It may be nil.
	Receiver func(account string) string
	// Finish is told of each job that a decision ends. It may be nil.
	Finish func(tasks.Finish)
	// Log defaults to discarding.
	Log *slog.Logger
}

// RefusedError says that a decision does not apply to where the job, or the batch,
// stands. Nothing was changed.
type RefusedError struct {
	// Ref is the job; Batch is set instead if it is about a batch.
	Ref   tasks.Ref
	Batch tasks.BatchRef
	Why   string
}

func (e *RefusedError) Error() string {
	if e.Batch != (tasks.BatchRef{}) {
		return "batch " + e.Batch.String() + " " + e.Why
	}
	return "job " + e.Ref.String() + " " + e.Why
}

// Retry gives failed jobs another budget and puts them back into the queue. One
// that ever had a call without an answer is looked up before it calls again.
//
// It returns for each job nil or why not: a [*RefusedError], tasks.ErrNotFound,
// tasks.ErrUnreadable, or what Redis answered; the others are put back.
func (o Operator) Retry(ctx context.Context, refs ...tasks.Ref) []error {
	errs := each(refs, func(ref tasks.Ref) error {
		_, err := o.change(ctx, ref, func(r tasks.Record) (tasks.Record, error) {
			if r.State != tasks.StateFailed {
				return r, &RefusedError{Ref: ref, Why: fmt.Sprintf("is %s; only a failed job can be retried", r.State)}
			}
			r.Renew(tasks.CodeResolved, "an operator gave it another budget after "+orElse(r.Code, "it had failed"))
			return o.Ledger.Step(ctx, r, tasks.StepRetried, 0)
		})
		return err
	})
	back := map[string][]string{}
	for i, ref := range refs {
		if errs[i] == nil {
			back[ref.Account] = append(back[ref.Account], ref.ID)
		}
	}
	for account, ids := range back {
		o.provision(ctx, account, ids)
	}
	return errs
}

// Cancel withdraws queued jobs. Its results are those of [Operator.Retry].
func (o Operator) Cancel(ctx context.Context, refs ...tasks.Ref) []error {
	return each(refs, func(ref tasks.Ref) error {
		_, err := o.change(ctx, ref, func(r tasks.Record) (tasks.Record, error) {
			if why := staysUncancelled(r.State); why != "" {
				return r, &RefusedError{Ref: ref, Why: why}
			}
			r.Code, r.Message = tasks.CodeCancelled, "an operator withdrew it"
			if r.Doubted {
				r.Message += "; an earlier call had no answer, and no instance of it was found"
			}
			return o.ending().end(ctx, r, tasks.StepCancel, "")
		})
		return err
	})
}

// staysUncancelled says why a job in the state cannot be withdrawn, or "".
func staysUncancelled(s tasks.State) string {
	switch s {
	case tasks.StateQueued:
		return ""
	case tasks.StateCalling:
		return "is calling: its call may be on the wire, and cannot be taken back"
	case tasks.StateUncertain:
		return "is uncertain: its call had no answer, and its instance is being looked for"
	case tasks.StateHeld:
		return "is held: its call may have made an instance; resolve it instead"
	case tasks.StateCreated, tasks.StateFailed, tasks.StateCancelled:
	}
	return fmt.Sprintf("is %s already", s)
}

// Decision is what a person knows of a held job.
type Decision struct {
	// By is tasks.StepResolveCreated, tasks.StepResolveAbsent or tasks.StepResolveFailed.
	By tasks.Step
	// InstanceID is the job's instance. Required with StepResolveCreated.
	InstanceID string
	// Note is added to the record's message, which the receiver is told.
	Note string
}

// Resolve decides about a held job, and returns the record as it then stands.
// The job of tasks.StepResolveAbsent gets another budget: none of the instances
// in question is its own, and the API is asked once more before it calls. The
// error is one of those of [Operator.Retry], or wraps tasks.ErrClaimed.
func (o Operator) Resolve(ctx context.Context, ref tasks.Ref, d Decision) (tasks.Record, error) {
	note := func(text string) string {
		if d.Note != "" {
			text += ": " + d.Note
		}
		return text
	}
	r, err := o.change(ctx, ref, func(r tasks.Record) (tasks.Record, error) {
		if r.State != tasks.StateHeld {
			return r, &RefusedError{Ref: ref, Why: fmt.Sprintf("is %s; only a held job can be resolved", r.State)}
		}
		switch {
		case d.By == tasks.StepResolveCreated && d.InstanceID != "":
			r.Instance = &tasks.EventInstance{
				InstanceID: d.InstanceID, InstanceName: r.Request.InstanceName, ChannelType: r.Request.ChannelType,
			}
			r.Adopted, r.Candidates = true, nil
			r.Code, r.Message = "OK", note("resolved by an operator")
		case d.By == tasks.StepResolveAbsent:
			r.Absolve()
			r.Renew(tasks.CodeResolved, note("an operator found no instance of it"))
			return o.Ledger.Step(ctx, r, d.By, 0)
		case d.By == tasks.StepResolveFailed:
			r.Code, r.Message = tasks.CodeResolved, note("given up by an operator")
		default:
			return r, fmt.Errorf("worker: resolving job %s: the decision %q with instance %q is none", ref, d.By, d.InstanceID)
		}
		return o.ending().end(ctx, r, d.By, o.receiver(ref.Account))
	})
	switch {
	case errors.Is(err, tasks.ErrClaimed):
		return r, o.claimed(ctx, ref.Account, d.InstanceID)
	case err != nil:
		return r, err
	case r.State == tasks.StateQueued:
		o.provision(ctx, ref.Account, []string{ref.ID})
	default:
		_ = o.ending().tell(ctx, r) // is logged; the sweeper queues what is owed
	}
	return r, nil
}

// claimed says who has an instance.
func (o Operator) claimed(ctx context.Context, account, instanceID string) error {
	owner, err := o.Ledger.Owner(ctx, account, instanceID)
	if err != nil || owner == "" {
		return fmt.Errorf("instance %s: %w", instanceID, tasks.ErrClaimed)
	}
	return fmt.Errorf("instance %s: %w: %s", instanceID, tasks.ErrClaimed, tasks.Ref{Account: account, ID: owner})
}

// Replay puts callbacks that were given up back on their way, with tries of
// their own. Its results are those of [Operator.Retry].
func (o Operator) Replay(ctx context.Context, refs ...tasks.Ref) []error {
	return each(refs, func(ref tasks.Ref) error {
		r, err := o.change(ctx, ref, func(r tasks.Record) (tasks.Record, error) {
			if r.Callback.State != tasks.CallbackDead {
				return r, &RefusedError{Ref: ref, Why: notDead(r.Callback)}
			}
			r.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed}
			return o.Ledger.Note(ctx, r, 0)
		})
		if err == nil {
			_ = o.ending().tell(ctx, r) // is logged; the sweeper queues what is owed
		}
		return err
	})
}

// ReplayBatches does the same for the callbacks of completed batches.
func (o Operator) ReplayBatches(ctx context.Context, refs ...tasks.BatchRef) []error {
	return each(refs, func(ref tasks.BatchRef) error {
		c, err := o.Ledger.Completion(ctx, ref)
		switch {
		case err != nil:
			return err
		case c.Callback.State != tasks.CallbackDead:
			return &RefusedError{Batch: ref, Why: notDead(c.Callback)}
		}
		err = o.Ledger.NoteCompletion(ctx, c, tasks.CallbackProgress{State: tasks.CallbackOwed})
		if err != nil && !errors.Is(err, tasks.ErrConflict) { // then somebody else replays it
			return err
		}
		if err := o.Queue.BatchCallback(ctx, ref); err != nil {
			o.log().Warn("queueing a callback; a sweep will do it", "batch", ref.String(), "error", err)
		}
		return nil
	})
}

func notDead(p tasks.CallbackProgress) string {
	return "has no callback that was given up; it is " + orElse(string(p.State), "none")
}

// change reads a record and lets a decision write it, once more if another
// write came between.
func (o Operator) change(ctx context.Context, ref tasks.Ref, decide func(tasks.Record) (tasks.Record, error)) (tasks.Record, error) {
	for try := 1; ; try++ {
		r, err := o.Ledger.Get(ctx, ref)
		if err == nil {
			r, err = decide(r)
		}
		if try == 5 || !errors.Is(err, tasks.ErrConflict) {
			return r, err
		}
	}
}

// each decides about many, some at a time, since each waits for Redis.
func each[Ref any](refs []Ref, decide func(Ref) error) []error {
	errs := make([]error, len(refs))
	slots := make(chan struct{}, 16)
	var deciding sync.WaitGroup
	for i, ref := range refs {
		slots <- struct{}{}
		deciding.Go(func() {
			errs[i] = decide(ref)
			<-slots
		})
	}
	deciding.Wait()
	return errs
}

// provision queues the tasks of jobs that are queued again, also if the person
// has just lost patience.
func (o Operator) provision(ctx context.Context, account string, ids []string) {
	if err := o.Queue.Provision(context.WithoutCancel(ctx), account, ids); err != nil {
		o.log().Warn("queueing jobs that were put back; a sweep will do it", "account", account, "jobs", len(ids), "error", err)
	}
}

func (o Operator) receiver(account string) string {
	if o.Receiver == nil {
		return ""
	}
	return o.Receiver(account)
}

func (o Operator) ending() ending {
	return ending{steps: o.Ledger, callbacks: o.Queue, finish: o.Finish, log: o.log()}
}

func (o Operator) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}
