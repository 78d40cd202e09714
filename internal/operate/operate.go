// Package operate carries out an operator's decisions: it retries, cancels and resolves
// jobs, replays callbacks, and pauses, resumes and limits accounts. It is the write model
// that commands and an HTTP API share: it prints nothing and knows no terminal.
//
// A decision is written before its task is queued. If queueing fails, or the process dies,
// the sweeper queues the task.
package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/camsq/camsq/internal/finalize"
	"github.com/camsq/camsq/tasks"
)

// Store is what an [Operator] needs of the ledger.
type Store interface {
	// Get wraps tasks.ErrNotFound and tasks.ErrUnreadable.
	Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error)
	// Transition and UpdateProgress wrap tasks.ErrConflict if the record has changed since
	// it was read.
	Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error)
	UpdateProgress(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error)
	// Completion wraps tasks.ErrNotFound and tasks.ErrUnreadable.
	Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error)
	UpdateCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error
	// InstanceOwner returns the ID of the account's job that has the instance, or "".
	InstanceOwner(ctx context.Context, account, instanceID string) (string, error)
}

// Queue puts tasks on their way to a worker. Doing it twice is harmless.
type Queue interface {
	finalize.Queue
	// Provision queues jobs of one account whose tasks have ended.
	Provision(ctx context.Context, account string, ids []string) error
}

// Operator carries out decisions about jobs, batches and accounts. It is safe for concurrent use.
type Operator struct {
	Store Store
	Queue Queue
	// Lanes is required to pause, resume and limit accounts.
	Lanes LaneStore
	// Receiver returns the callback URL of an account, for jobs that name none themselves,
	// or "". It may be nil.
	Receiver func(account string) string
	// OnFinish is called for each job that a decision ends. It may be nil.
	OnFinish func(tasks.Finish)
	// Log defaults to discarding.
	Log *slog.Logger
}

// Target is what a decision applies to: the job of Ref, or the completion of a batch.
type Target struct {
	Ref tasks.Ref
	// Batch is set, and Ref is not, if the target is a batch's completion.
	Batch tasks.BatchRef
}

// Job is the target that is a job.
func Job(ref tasks.Ref) Target { return Target{Ref: ref} }

// Completion is the target that is a batch's completion.
func Completion(ref tasks.BatchRef) Target { return Target{Batch: ref} }

// IsBatch reports whether the target is a batch's completion.
func (t Target) IsBatch() bool { return t.Batch != (tasks.BatchRef{}) }

// String returns "account/job" or "account/batch#completion".
func (t Target) String() string {
	if t.IsBatch() {
		return t.Batch.String()
	}
	return t.Ref.String()
}

// RefusedError reports that a decision does not apply to the state of its target. Nothing
// was changed.
type RefusedError struct {
	Target Target
	Why    string
}

func (e *RefusedError) Error() string {
	if e.Target.IsBatch() {
		return "batch " + e.Target.String() + " " + e.Why
	}
	return "job " + e.Target.String() + " " + e.Why
}

// NotCandidateError reports that a held job was to be resolved to an instance that is not
// among its candidates. Nothing was changed.
type NotCandidateError struct {
	InstanceID string
	Candidates []string
}

func (e *NotCandidateError) Error() string {
	return fmt.Sprintf("instance %s is not among the candidates (%s)", e.InstanceID, strings.Join(e.Candidates, ", "))
}

// Retry gives failed jobs another budget and puts them back into the queue. A worker looks
// a job up before it calls again, if a call of the job was ever uncertain.
//
// It returns an error or nil for each target: a [*RefusedError], an error that wraps
// tasks.ErrNotFound or tasks.ErrUnreadable, or the error of Redis. The targets with nil are
// put back.
func (o Operator) Retry(ctx context.Context, targets ...Target) []error {
	errs := each(targets, func(t Target) error {
		_, err := o.changeJob(ctx, t, func(r tasks.Record) (tasks.Record, error) {
			if r.State != tasks.StateFailed {
				return r, &RefusedError{t, fmt.Sprintf("is %s; only a failed job can be retried", r.State)}
			}
			r.Renew(tasks.CodeResolved, "an operator gave it another budget after "+cmp.Or(r.Code, "it had failed"))
			return o.Store.Transition(ctx, r, tasks.StepRetried, 0)
		})
		return err
	})
	back := map[string][]string{}
	for i, t := range targets {
		if errs[i] == nil {
			back[t.Ref.Account] = append(back[t.Ref.Account], t.Ref.ID)
		}
	}
	for account, ids := range back {
		o.provision(ctx, account, ids)
	}
	return errs
}

// Cancel cancels queued jobs. Its results are those of [Operator.Retry].
func (o Operator) Cancel(ctx context.Context, targets ...Target) []error {
	return each(targets, func(t Target) error {
		_, err := o.changeJob(ctx, t, func(r tasks.Record) (tasks.Record, error) {
			if why := notCancellable(r.State); why != "" {
				return r, &RefusedError{t, why}
			}
			r.Code, r.Message = tasks.CodeCancelled, "an operator cancelled it"
			if r.Doubted {
				r.Message += "; an earlier call had no answer, and no instance of it was found"
			}
			return o.finalizer().End(ctx, r, tasks.StepCancel, "")
		})
		return err
	})
}

// notCancellable says why a job in the state cannot be cancelled, or returns "".
func notCancellable(s tasks.State) string {
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

// MaxNote is the most bytes that a note or a reason may have.
const MaxNote = 200

// Decision is an operator's answer about a held job.
type Decision struct {
	// By is tasks.StepResolveCreated, tasks.StepResolveAbsent or tasks.StepResolveFailed.
	By tasks.Step
	// InstanceID is the job's instance. Required with StepResolveCreated.
	InstanceID string
	// Other allows an instance that is not among the job's candidates.
	Other bool
	// Note is added to the record's message, which the callback carries. It has up to
	// [MaxNote] bytes.
	Note string
}

// Resolve ends the wait of a held job, and returns the record as written. The job of
// tasks.StepResolveAbsent gets another budget: none of its candidates is its own, and a
// worker asks the API once more before it calls. The error is one of those of
// [Operator.Retry], a [*NotCandidateError], or wraps tasks.ErrClaimed.
func (o Operator) Resolve(ctx context.Context, ref tasks.Ref, d Decision) (tasks.Record, error) {
	if len(d.Note) > MaxNote {
		return tasks.Record{}, fmt.Errorf("operate: the note has %d bytes; it may have up to %d", len(d.Note), MaxNote)
	}
	r, err := o.changeJob(ctx, Job(ref), func(r tasks.Record) (tasks.Record, error) {
		if r.State != tasks.StateHeld {
			return r, &RefusedError{Job(ref), fmt.Sprintf("is %s; only a held job can be resolved", r.State)}
		}
		if err := d.apply(&r); err != nil {
			return r, err
		}
		if d.By == tasks.StepResolveAbsent {
			return o.Store.Transition(ctx, r, d.By, 0)
		}
		return o.finalizer().End(ctx, r, d.By, o.receiver(ref.Account))
	})
	switch {
	case errors.Is(err, tasks.ErrClaimed):
		return r, o.claimed(ctx, ref.Account, d.InstanceID)
	case err != nil:
		return r, err
	case r.State == tasks.StateQueued:
		o.provision(ctx, ref.Account, []string{ref.ID})
	default:
		_ = o.finalizer().EnqueueCallback(ctx, r) // is logged; the sweeper queues what is owed
	}
	return r, nil
}

// apply writes the decision into the record of a held job.
func (d Decision) apply(r *tasks.Record) error {
	note := func(text string) string {
		if d.Note != "" {
			text += ": " + d.Note
		}
		return text
	}
	switch {
	case d.By == tasks.StepResolveCreated && d.InstanceID != "":
		if !d.Other && len(r.Candidates) > 0 && !slices.Contains(r.Candidates, d.InstanceID) {
			return &NotCandidateError{d.InstanceID, r.Candidates}
		}
		r.Instance = &tasks.EventInstance{
			InstanceID: d.InstanceID, InstanceName: r.Request.InstanceName, ChannelType: r.Request.ChannelType,
		}
		r.Adopted, r.Candidates = true, nil
		r.Code, r.Message = "OK", note("resolved by an operator")
	case d.By == tasks.StepResolveAbsent:
		r.Absolve()
		r.Renew(tasks.CodeResolved, note("an operator found no instance of it"))
	case d.By == tasks.StepResolveFailed:
		r.Code, r.Message = tasks.CodeResolved, note("given up by an operator")
	default:
		return fmt.Errorf("operate: resolving job %s: unknown decision %q with instance %q", r.Ref(), d.By, d.InstanceID)
	}
	return nil
}

// claimed returns an error that names the job that has the instance.
func (o Operator) claimed(ctx context.Context, account, instanceID string) error {
	owner, err := o.Store.InstanceOwner(ctx, account, instanceID)
	if err != nil || owner == "" {
		return fmt.Errorf("instance %s: %w", instanceID, tasks.ErrClaimed)
	}
	return fmt.Errorf("instance %s: %w: %s", instanceID, tasks.ErrClaimed, tasks.Ref{Account: account, ID: owner})
}

// Replay queues dead callbacks again, with a new schedule of tries: those of jobs and
// those of batches. Its results are those of [Operator.Retry].
func (o Operator) Replay(ctx context.Context, targets ...Target) []error {
	return each(targets, func(t Target) error {
		if t.IsBatch() {
			return o.replayBatch(ctx, t)
		}
		r, err := o.changeJob(ctx, t, func(r tasks.Record) (tasks.Record, error) {
			if r.Callback.State != tasks.CallbackDead {
				return r, &RefusedError{t, notDead(r.Callback)}
			}
			r.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed}
			return o.Store.UpdateProgress(ctx, r, 0)
		})
		if err == nil {
			_ = o.finalizer().EnqueueCallback(ctx, r) // is logged; the sweeper queues what is owed
		}
		return err
	})
}

func (o Operator) replayBatch(ctx context.Context, t Target) error {
	c, err := o.Store.Completion(ctx, t.Batch)
	switch {
	case err != nil:
		return err
	case c.Callback.State != tasks.CallbackDead:
		return &RefusedError{t, notDead(c.Callback)}
	}
	err = o.Store.UpdateCompletion(ctx, c, tasks.CallbackProgress{State: tasks.CallbackOwed})
	if err != nil && !errors.Is(err, tasks.ErrConflict) { // on a conflict another operator replays it
		return err
	}
	_ = o.finalizer().EnqueueBatchCallback(ctx, t.Batch) // is logged; the sweeper queues what is owed
	return nil
}

func notDead(p tasks.CallbackProgress) string {
	return "has no dead callback; it is " + cmp.Or(string(p.State), "none")
}

// changeJob reads the record of a job and lets decide write it. It tries up to five times
// if another write comes between.
func (o Operator) changeJob(ctx context.Context, t Target, decide func(tasks.Record) (tasks.Record, error)) (tasks.Record, error) {
	if t.IsBatch() {
		return tasks.Record{}, &RefusedError{t, "is a batch; this applies to jobs only"}
	}
	for try := 1; ; try++ {
		r, err := o.Store.Get(ctx, t.Ref)
		if err == nil {
			r, err = decide(r)
		}
		if try == 5 || !errors.Is(err, tasks.ErrConflict) {
			return r, err
		}
	}
}

// each applies a decision to many targets, 16 at a time, since each waits for Redis.
func each(targets []Target, decide func(Target) error) []error {
	errs := make([]error, len(targets))
	slots := make(chan struct{}, 16)
	var deciding sync.WaitGroup
	for i, t := range targets {
		slots <- struct{}{}
		deciding.Go(func() {
			errs[i] = decide(t)
			<-slots
		})
	}
	deciding.Wait()
	return errs
}

// provision queues the tasks of jobs that are queued again. It does so even if ctx has
// been cancelled meanwhile: the records are written.
func (o Operator) provision(ctx context.Context, account string, ids []string) {
	if err := o.Queue.Provision(context.WithoutCancel(ctx), account, ids); err != nil {
		o.log().Warn("cannot queue the jobs that were put back; the sweeper queues them", "account", account, "jobs", len(ids), "error", err)
	}
}

func (o Operator) receiver(account string) string {
	if o.Receiver == nil {
		return ""
	}
	return o.Receiver(account)
}

func (o Operator) finalizer() finalize.Finalizer {
	return finalize.Finalizer{Store: o.Store, Queue: o.Queue, OnFinish: o.OnFinish, Log: o.log()}
}

func (o Operator) log() *slog.Logger { return cmp.Or(o.Log, slog.New(slog.DiscardHandler)) }
