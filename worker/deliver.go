package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Deliver is one try to tell a job's outcome to its receiver. The record says
// what is owed, so a task that comes twice, or late, tells nothing twice but what
// was not acknowledged. Its results are those of [Worker.Turn].
func (w *Worker) Deliver(ctx context.Context, ref tasks.Ref) error {
	r, err := w.Ledger.Get(ctx, ref)
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
	if url == "" || w.Sender == nil {
		return &Later{time.Hour, "this worker has no receiver or no secret for the callback"}
	}
	body, err := tasks.EncodeEvent(event)
	if err != nil {
		return err
	}

	// Dies from here until the note: the callback is owed and is sent again.
	d := w.Sender.Send(ctx, url, tasks.EventID(body), body)
	if w.Hooks.Delivery != nil {
		w.Hooks.Delivery(d)
	}
	if d.Result != tasks.DeliveryDelivered {
		w.Log.LogAttrs(ctx, slog.LevelWarn, "callback", slog.String("job", ref.String()), slog.Any("delivery", d))
	}
	if d.Result == tasks.DeliveryRetry && !d.CostsTry() {
		return &Later{max(d.RetryAfter, time.Second), "its receiver asked for a pause"}
	}
	r.Callback.Tries++
	r.Callback.Reason = d.Reason
	delay := time.Duration(0)
	switch d.Result {
	case tasks.DeliveryDelivered:
		r.Callback.State = tasks.CallbackDelivered
	case tasks.DeliveryGone:
		r.Callback.State = tasks.CallbackGone
	case tasks.DeliveryRefused:
		r.Callback.State = tasks.CallbackDead
	case tasks.DeliveryRetry:
		var more bool
		if delay, more = w.Schedule(r.Callback.Tries, d.RetryAfter); !more {
			r.Callback.State = tasks.CallbackDead
		}
	}
	if _, err := w.Ledger.Note(context.WithoutCancel(ctx), r, 0); err != nil {
		return again(err)
	}
	if r.Callback.State == tasks.CallbackOwed {
		return &Later{delay, "its receiver did not take the callback: " + d.Reason}
	}
	return nil
}
