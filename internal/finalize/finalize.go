// Package finalize ends jobs. It writes the transition, records in the same write that
// a callback is owed, and queues the callbacks of the job and of the batch that the job
// completes.
//
// The record is written first. If the process dies after that, or the queue refuses the
// task, the record still says what is owed, and the sweeper queues it. finalize does not
// decide how a job ends: its callers do (package worker from an answer of the API, package
// operate from an operator's decision).
package finalize

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Store writes transitions.
type Store interface {
	// Transition writes the record's transition, which is durable when it returns nil. It wraps
	// tasks.ErrConflict, tasks.ErrNotFound and tasks.ErrClaimed if nothing was written.
	Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error)
}

// Queue queues the delivery of a job's outcome, and of a batch's completion. Queueing
// twice is harmless.
type Queue interface {
	Callback(ctx context.Context, ref tasks.Ref) error
	BatchCallback(ctx context.Context, ref tasks.BatchRef) error
}

// Finalizer ends jobs. It is safe for concurrent use.
type Finalizer struct {
	Store Store
	Queue Queue
	// OnFinish is called for each job that ends. It may be nil, and must not block.
	OnFinish func(tasks.Finish)
	Log      *slog.Logger
}

// End writes the transition and returns the record as written. The record then says
// whether a callback is owed: it is if the job has a receiver, which is its own, else the
// account's (receiver, which may be empty). A job whose previous outcome was reported has
// a receiver too, even if this process was not given the account's.
//
// The error is that of [Store.Transition], or says that the state has no such transition.
//
// Dies after the write: the record says what is owed, and the sweeper queues it.
func (f Finalizer) End(ctx context.Context, r tasks.Record, by tasks.Step, receiver string) (tasks.Record, error) {
	to, err := tasks.Next(r.State, by)
	if err != nil {
		return tasks.Record{}, err
	}
	hasReceiver := cmp.Or(r.CallbackURL, receiver) != "" || r.Callback.State != tasks.CallbackNone
	if to.EventType() != "" && hasReceiver {
		r.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed}
	}
	if to == tasks.StateCreated || to.Final() && !r.Doubted {
		r.Forget()
	}
	if r, err = f.Store.Transition(ctx, r, by, 0); err != nil {
		return tasks.Record{}, err
	}
	f.enqueueBatchCallback(ctx, r)
	if f.OnFinish != nil {
		f.OnFinish(tasks.Finish{
			Account: r.Account, State: r.State, Code: r.Code, Adopted: r.Adopted, Age: r.Now.Sub(r.EnqueuedAt),
		})
	}
	level := slog.LevelInfo
	if r.State == tasks.StateHeld {
		level = slog.LevelWarn // an operator has to decide
	}
	f.Log.LogAttrs(ctx, level, "job "+string(r.State), slog.String("account", r.Account),
		slog.String("job", r.ID), slog.String("code", r.Code), slog.Bool("adopted", r.Adopted))
	return r, nil
}

// enqueueBatchCallback queues the callback of the batch that the job has completed, if
// it has completed one. After an error the sweeper queues it.
func (f Finalizer) enqueueBatchCallback(ctx context.Context, r tasks.Record) {
	if r.Completes == 0 {
		return
	}
	ref := tasks.BatchRef{Account: r.Account, Batch: r.Batch, Completion: r.Completes}
	f.Log.Info("batch completed", "batch", ref.String())
	_ = f.EnqueueBatchCallback(ctx, ref) // is logged
}

// EnqueueCallback queues the callback that a job owes, if it owes one. It logs an error
// before it returns it; the sweeper queues the callback then.
func (f Finalizer) EnqueueCallback(ctx context.Context, r tasks.Record) error {
	if r.Callback.State != tasks.CallbackOwed {
		return nil
	}
	return f.warn(f.Queue.Callback(ctx, r.Ref()), slog.String("job", r.Ref().String()))
}

// EnqueueBatchCallback queues the callback of a batch's completion. Its error is that of
// [Finalizer.EnqueueCallback].
func (f Finalizer) EnqueueBatchCallback(ctx context.Context, ref tasks.BatchRef) error {
	return f.warn(f.Queue.BatchCallback(ctx, ref), slog.String("batch", ref.String()))
}

func (f Finalizer) warn(err error, about slog.Attr) error {
	if err != nil {
		f.Log.Warn("cannot queue a callback; the sweeper queues it", about, "error", err)
	}
	return err
}
