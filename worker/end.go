package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// steps is the part of [Ledger] that moves a record.
type steps interface {
	Step(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error)
}

// ending takes jobs to the states that their receivers are told of, on the word
// of the API or of a person.
type ending struct {
	steps     steps
	callbacks Callbacks
	finish    func(tasks.Finish) // may be nil
	log       *slog.Logger
}

// end takes the step, and the record then says whether a callback is owed. It is
// owed if there is somebody to tell: the job's own receiver, else the account's.
// A job whose last outcome was told has somebody too, even if this process was
// not given the account's receiver.
func (e ending) end(ctx context.Context, r tasks.Record, by tasks.Step, receiver string) (tasks.Record, error) {
	to, err := tasks.Next(r.State, by)
	if err != nil {
		return tasks.Record{}, err
	}
	somebody := orElse(r.CallbackURL, receiver) != "" || r.Callback.State != tasks.CallbackNone
	if to.EventType() != "" && somebody {
		r.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed}
	}
	if to == tasks.StateCreated || to.Final() && !r.Doubted {
		r.Forget()
	}
	if r, err = e.steps.Step(ctx, r, by, 0); err != nil {
		return tasks.Record{}, err
	}
	e.tellBatch(ctx, r)
	if e.finish != nil {
		e.finish(tasks.Finish{
			Account: r.Account, State: r.State, Code: r.Code, Adopted: r.Adopted, Age: r.Now.Sub(r.EnqueuedAt),
		})
	}
	level := slog.LevelInfo
	if r.State == tasks.StateHeld {
		level = slog.LevelWarn // it waits for a person
	}
	e.log.LogAttrs(ctx, level, "job "+string(r.State), slog.String("account", r.Account),
		slog.String("job", r.ID), slog.String("code", r.Code), slog.Bool("adopted", r.Adopted))
	return r, nil
}

// tellBatch queues the telling of a batch that a job has just completed. After an
// error the sweeper does.
func (e ending) tellBatch(ctx context.Context, r tasks.Record) {
	if r.Completes == 0 {
		return
	}
	ref := tasks.BatchRef{Account: r.Account, Batch: r.Batch, Completion: r.Completes}
	e.log.Info("batch completed", "batch", ref.String())
	if err := e.callbacks.BatchCallback(ctx, ref); err != nil {
		e.log.Warn("queueing a callback", "batch", ref.String(), "error", err)
	}
}

// tell queues the callback that a job owes, if it owes one. After an error the
// sweeper queues it.
func (e ending) tell(ctx context.Context, r tasks.Record) error {
	if r.Callback.State != tasks.CallbackOwed {
		return nil
	}
	err := e.callbacks.Callback(ctx, r.Ref())
	if err != nil {
		e.log.Warn("queueing a callback", "job", r.Ref().String(), "error", err)
	}
	return err
}
