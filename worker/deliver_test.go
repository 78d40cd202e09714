package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// inbox is a sender that answers by a script, then with success.
type inbox struct {
	script []tasks.Delivery
	urls   []string
	ids    []string
	bodies []string
}

func (s *inbox) Send(_ context.Context, url, id string, body []byte) tasks.Delivery {
	s.urls, s.ids, s.bodies = append(s.urls, url), append(s.ids, id), append(s.bodies, string(body))
	if len(s.script) == 0 {
		return tasks.Delivery{Result: tasks.DeliveryDelivered, Status: 200, Reason: tasks.ReasonOK}
	}
	d := s.script[0]
	s.script = s.script[1:]
	return d
}

// threeTries is a schedule of a minute between the tries.
func threeTries(tries int, retryAfter time.Duration) (time.Duration, bool) {
	return max(time.Minute, retryAfter), tries < 3
}

func delivering(s worker.Sender) func(*fixture, *worker.Config) {
	return config(func(c *worker.Config) { c.Sender, c.Schedule = s, threeTries })
}

// created is a job that owes its callback.
func created() tasks.Record {
	r := called(tasks.StateCreated, 0)
	r.Instance, r.Code = &tasks.EventInstance{InstanceID: "1000"}, "OK"
	r.Callback.State = tasks.CallbackOwed
	return r
}

func TestACallbackIsTriedUntilItsReceiverHasIt(t *testing.T) {
	again := func(reason string, retryAfter time.Duration) tasks.Delivery {
		return tasks.Delivery{Reason: reason, RetryAfter: retryAfter}
	}
	tests := []struct {
		name   string
		script []tasks.Delivery
		want   tasks.CallbackProgress
		sends  int
		took   time.Duration // without asynq's second for each wait
	}{
		{name: "delivered", want: tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1, Reason: tasks.ReasonOK}, sends: 1},
		{
			name:   "gone",
			script: []tasks.Delivery{{Result: tasks.DeliveryGone, Status: 410, Reason: tasks.ReasonGone}},
			want:   tasks.CallbackProgress{State: tasks.CallbackGone, Tries: 1, Reason: tasks.ReasonGone}, sends: 1,
		},
		{
			name:   "refused by us",
			script: []tasks.Delivery{{Result: tasks.DeliveryRefused, Reason: tasks.ReasonRefused}},
			want:   tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 1, Reason: tasks.ReasonRefused}, sends: 1,
		},
		{
			name:   "delivered at the second try",
			script: []tasks.Delivery{again(tasks.ReasonTimeout, 0)},
			want:   tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 2, Reason: tasks.ReasonOK}, sends: 2, took: time.Minute,
		},
		{
			name:   "the receiver asks for a pause",
			script: []tasks.Delivery{again(tasks.ReasonRateLimited, time.Hour)},
			want:   tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 2, Reason: tasks.ReasonOK}, sends: 2, took: time.Hour,
		},
		{
			name:   "dead",
			script: []tasks.Delivery{again(tasks.ReasonServerError, 0), again(tasks.ReasonDNS, 0), again(tasks.ReasonTLS, 0)},
			want:   tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 3, Reason: tasks.ReasonTLS}, sends: 3, took: 2 * time.Minute,
		},
		{
			name:   "what was not sent costs no try",
			script: []tasks.Delivery{again(tasks.ReasonGated, 10*time.Minute), again(tasks.ReasonInterrupted, 0), again(tasks.ReasonGated, 0), again(tasks.ReasonGated, 0)},
			want:   tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1, Reason: tasks.ReasonOK}, sends: 5, took: 10*time.Minute + 3*time.Second,
		},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			box := &inbox{script: tt.script}
			d := newFixture(t, delivering(box))
			d.ledger.put(created())
			start := time.Now()
			for {
				err := d.Deliver(t.Context(), job1)
				if err == nil {
					break
				}
				time.Sleep(later(t, err))
			}
			want(t, "progress", d.job(t).Callback, tt.want)
			want(t, "sends", len(box.ids), tt.sends)
			want(t, "took", time.Since(start), tt.took)
			for i := range box.ids {
				if box.ids[i] != box.ids[0] || box.bodies[i] != box.bodies[0] {
					t.Errorf("try %d says %s %s, the first %s %s", i+1, box.ids[i], box.bodies[i], box.ids[0], box.bodies[0])
				}
			}
			noError(t, d.Deliver(t.Context(), job1))
			want(t, "sends after the end", len(box.ids), tt.sends)
		})
	}
}

func TestACallbackGoesToTheJobsOwnReceiverFirst(t *testing.T) {
	for url, wanted := range map[string]string{"": "https://example.com/hook", "https://example.org/own": "https://example.org/own"} {
		box := new(inbox)
		d := newFixture(t, delivering(box))
		r := created()
		r.CallbackURL = url
		d.ledger.put(r)
		noError(t, d.Deliver(t.Context(), job1))
		want(t, "receivers", box.urls, []string{wanted})
	}
}

func TestACallbackWaitsForAWorkerThatCanSendIt(t *testing.T) {
	d := newFixture(t)
	d.ledger.put(created())
	want(t, "wait", later(t, d.Deliver(t.Context(), job1)), time.Hour)
	want(t, "callback", d.job(t).Callback, tasks.CallbackProgress{State: tasks.CallbackOwed})
}

func TestACallbackTaskThatIsNotOwedSendsNothing(t *testing.T) {
	for name, r := range map[string]tasks.Record{
		"queued":    queued(),
		"uncertain": called(tasks.StateUncertain, 0),
		"created, and nobody to tell": func() tasks.Record {
			r := created()
			r.Callback = tasks.CallbackProgress{}
			return r
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			box := new(inbox)
			d := newFixture(t, delivering(box))
			d.ledger.put(r)
			noError(t, d.Deliver(t.Context(), job1))
			want(t, "sends", len(box.ids), 0)
		})
	}
	d := newFixture(t, delivering(new(inbox)))
	if err := d.Deliver(t.Context(), job1); !errors.Is(err, tasks.ErrNotFound) {
		t.Errorf("Deliver of no job: %v, want tasks.ErrNotFound", err)
	}
}

// An outcome that changes while its callback is under way, as when an operator
// resolves a held job, must not be marked as told.
func TestAnOutcomeThatChangesMeanwhileIsToldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *fixture
		box := &changing{change: func() {
			r := d.job(t)
			r.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed}
			if _, err := d.ledger.Transition(t.Context(), r, tasks.StepResolveFailed, 0); err != nil {
				t.Error(err)
			}
		}}
		d = newFixture(t, delivering(box))
		r := called(tasks.StateHeld, 0)
		r.Callback.State = tasks.CallbackOwed
		d.ledger.put(r)
		later(t, d.Deliver(t.Context(), job1))
		want(t, "callback", d.job(t).Callback.State, tasks.CallbackOwed)
		noError(t, d.Deliver(t.Context(), job1))
		want(t, "callback", d.job(t).Callback.State, tasks.CallbackDelivered)
		if len(box.ids) != 2 || box.ids[0] == box.ids[1] {
			t.Errorf("the two outcomes have the IDs %q, want two", box.ids)
		}
	})
}

func TestADeliveryIsNotedThoughTheQueueInterrupts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	box := &changing{change: cancel}
	d := newFixture(t, delivering(box))
	d.ledger.put(created())
	noError(t, d.Deliver(ctx, job1))
	want(t, "callback", d.job(t).Callback.State, tasks.CallbackDelivered)
}

// changing does something while its first webhook is under way.
type changing struct {
	inbox
	change func()
}

func (c *changing) Send(ctx context.Context, url, id string, body []byte) tasks.Delivery {
	if len(c.ids) == 0 {
		c.change()
	}
	return c.inbox.Send(ctx, url, id, body)
}
