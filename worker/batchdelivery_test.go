package worker_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// completed is a completion that is owed.
func completed() tasks.Completion {
	return tasks.Completion{
		BatchRef: march, Callback: tasks.CallbackProgress{State: tasks.CallbackOwed},
		Facts: tasks.Batch{
			Account: account, Name: "march", Jobs: map[tasks.State]int64{tasks.StateCreated: 2}, Completions: 1,
			Started: time.UnixMilli(1_000), Closed: time.UnixMilli(2_000), Completed: time.UnixMilli(3_000),
		},
	}
}

func TestACompletedBatchIsTriedUntilItsReceiverHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{script: []tasks.Delivery{{Reason: tasks.ReasonTimeout}, {Reason: tasks.ReasonGated, RetryAfter: time.Hour}}}
		d := newFixture(t, delivering(box))
		d.ledger.complete(completed())
		want(t, "first wait", later(t, d.DeliverBatch(t.Context(), march)), time.Minute)
		want(t, "second wait", later(t, d.DeliverBatch(t.Context(), march)), time.Hour)
		for range 2 {
			noError(t, d.DeliverBatch(t.Context(), march))
		}
		c, err := d.ledger.Completion(t.Context(), march)
		noError(t, err)
		want(t, "callback", c.Callback, tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 2, Reason: tasks.ReasonOK})
		want(t, "sends", len(box.ids), 3)
		for i := range box.ids {
			if box.ids[i] != box.ids[0] || box.bodies[i] != box.bodies[0] || box.urls[i] != "https://example.com/hook" {
				t.Errorf("try %d: %s %s to %s", i, box.ids[i], box.bodies[i], box.urls[i])
			}
		}
	})
}

func TestACompletedBatchThatNobodyTakesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{script: slices.Repeat([]tasks.Delivery{{Reason: tasks.ReasonTLS}}, 3)}
		d := newFixture(t, delivering(box))
		d.ledger.complete(completed())
		for range 2 {
			time.Sleep(later(t, d.DeliverBatch(t.Context(), march)))
		}
		noError(t, d.DeliverBatch(t.Context(), march))
		c, err := d.ledger.Completion(t.Context(), march)
		noError(t, err)
		want(t, "callback", c.Callback, tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 3, Reason: tasks.ReasonTLS})
	})
}

func TestWhoIsToldOfABatch(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*worker.Config)
		ref    tasks.BatchRef
		wait   time.Duration // 0: it is done with
		state  tasks.CallbackState
	}{
		"the account has no receiver": {func(c *worker.Config) { c.Lanes[0].CallbackURL = "" }, march, 0, tasks.CallbackNone},
		"this worker has no secret":   {func(c *worker.Config) { c.Sender = nil }, march, time.Hour, tasks.CallbackOwed},
		"this worker has no such account": {func(c *worker.Config) { c.Lanes[0].Account = "other" }, march, time.Hour,
			tasks.CallbackOwed},
	} {
		t.Run(name, func(t *testing.T) {
			box := new(inbox)
			d := newFixture(t, delivering(box), config(tt.change))
			d.ledger.complete(completed())
			err := d.DeliverBatch(t.Context(), tt.ref)
			if tt.wait > 0 {
				want(t, "wait", later(t, err), tt.wait)
			} else {
				noError(t, err)
			}
			c, err := d.ledger.Completion(t.Context(), march)
			noError(t, err)
			want(t, "state", c.Callback.State, tt.state)
			want(t, "sends", len(box.ids), 0)
		})
	}
	d := newFixture(t, delivering(new(inbox)))
	noError(t, d.DeliverBatch(t.Context(), march)) // told long ago
}

// Two workers with the same task tell the same, and one of them notes it.
func TestANoteThatComesSecondIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *fixture
		box := &changing{change: func() { noError(t, d.DeliverBatch(t.Context(), march)) }}
		d = newFixture(t, delivering(&secondFirst{changing: box}))
		d.ledger.complete(completed())
		want(t, "wait", later(t, d.DeliverBatch(t.Context(), march)), time.Second)
		noError(t, d.DeliverBatch(t.Context(), march))
		c, err := d.ledger.Completion(t.Context(), march)
		noError(t, err)
		want(t, "callback", c.Callback.State, tasks.CallbackDelivered)
		want(t, "sends", len(box.ids), 2)
	})
}

// secondFirst lets its first send wait for the whole of another.
type secondFirst struct {
	*changing
	began bool
}

func (s *secondFirst) Send(ctx context.Context, url, id string, body []byte) tasks.Delivery {
	if !s.began {
		s.began = true
		s.change()
	}
	return s.inbox.Send(ctx, url, id, body)
}
