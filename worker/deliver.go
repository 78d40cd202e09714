package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Deliver makes one attempt to deliver the outcome of a job. The record says what is owed,
// so a task that comes twice or late repeats only a delivery that was not acknowledged. Its
// results are those of [Worker.Process].
func (w *Worker) Deliver(ctx context.Context, ref tasks.Ref) error {
	r, err := w.cfg.Store.Get(ctx, ref)
	if err != nil {
		return err
	}
	event, ok := r.Event()
	if !ok || r.Callback.State != tasks.CallbackOwed {
		return nil
	}
	url := r.CallbackURL
	if l := w.lanes[ref.Account]; url == "" && l != nil {
		url = l.CallbackURL
	}
	return w.try(ctx, delivery{
		about: slog.String("job", ref.String()), url: url, event: event, callback: r.Callback,
		update: func(ctx context.Context, to tasks.CallbackProgress) error {
			r.Callback = to
			_, err := w.cfg.Store.UpdateProgress(ctx, r, 0)
			return err
		},
	})
}

// DeliverBatch makes one attempt to deliver the completion of a batch to the account's
// receiver: see [Worker.Deliver]. The process that records a completion may not know the
// receivers, so a completion without a receiver ends here.
func (w *Worker) DeliverBatch(ctx context.Context, ref tasks.BatchRef) error {
	c, err := w.cfg.Store.Completion(ctx, ref)
	switch {
	case errors.Is(err, tasks.ErrNotFound):
		return nil // delivered long ago
	case err != nil:
		return err
	case c.Callback.State != tasks.CallbackOwed:
		return nil
	}
	update := func(ctx context.Context, to tasks.CallbackProgress) error {
		return w.cfg.Store.UpdateCompletion(ctx, c, to)
	}
	url := ""
	if l := w.lanes[ref.Account]; l != nil {
		if url = l.CallbackURL; url == "" {
			return onConflict(update(ctx, tasks.CallbackProgress{}))
		}
	}
	return w.try(ctx, delivery{
		about: slog.String("batch", ref.String()), url: url, event: c.Event(), callback: c.Callback, update: update,
	})
}

// delivery is a callback that is owed.
type delivery struct {
	about    slog.Attr
	url      string
	event    tasks.Event
	callback tasks.CallbackProgress
	// update writes the progress of the delivery, unless another process has written it.
	update func(context.Context, tasks.CallbackProgress) error
}

// try sends a callback once, and writes the result.
func (w *Worker) try(ctx context.Context, owed delivery) error {
	if owed.url == "" || w.cfg.Sender == nil {
		return &SnoozeError{time.Hour, "this worker has no receiver or no secret for the callback"}
	}
	body, err := tasks.EncodeEvent(owed.event)
	if err != nil {
		return err
	}

	// Dies from here until the note: the callback is owed and is sent again.
	d := w.cfg.Sender.Send(ctx, owed.url, tasks.EventID(body), body)
	if w.cfg.Hooks.Delivery != nil {
		w.cfg.Hooks.Delivery(d)
	}
	if d.Result != tasks.DeliveryDelivered {
		w.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "callback", owed.about, slog.Any("delivery", d))
	}
	if d.Result == tasks.DeliveryRetry && !d.CostsTry() {
		return &SnoozeError{max(d.RetryAfter, time.Second), "the receiver asked for a pause"}
	}
	to := owed.callback
	to.Tries++
	to.Reason = d.Reason
	delay := time.Duration(0)
	switch d.Result {
	case tasks.DeliveryDelivered:
		to.State = tasks.CallbackDelivered
	case tasks.DeliveryGone:
		to.State = tasks.CallbackGone
	case tasks.DeliveryRefused:
		to.State = tasks.CallbackDead
	case tasks.DeliveryRetry:
		var more bool
		if delay, more = w.cfg.Schedule(to.Tries, d.RetryAfter); !more {
			to.State = tasks.CallbackDead
		}
	}
	if err := owed.update(context.WithoutCancel(ctx), to); err != nil {
		return onConflict(err)
	}
	if to.State == tasks.CallbackOwed {
		return &SnoozeError{delay, "the receiver did not accept the callback: " + d.Reason}
	}
	return nil
}
