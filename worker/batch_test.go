package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

var march = tasks.BatchRef{Account: account, Batch: "march", Completion: 1}

// withReceivers gives the lanes a receiver for their batches, and makes others of the same
// kind for more accounts.
func withReceivers(more ...string) func(*process, *setup) {
	return func(_ *process, s *setup) {
		for _, name := range more {
			l := s.Lanes[0]
			l.Account, l.Create, l.List = name, new(fakeLimiter), new(fakeLimiter)
			s.Lanes = append(s.Lanes, l)
		}
		for i := range s.Lanes {
			s.Lanes[i].CallbackURL = "https://" + s.Lanes[i].Account + ".example/hook"
		}
	}
}

// enqueueBatch sends jobs as a batch; an ID may be ACCOUNT/ID.
func (w *cluster) enqueueBatch(batch string, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		j := tasks.Job{ID: id, Account: account, Batch: batch, Request: tasks.Request{ChannelType: "VIBER", InstanceName: id}}
		if name, rest, ok := strings.Cut(id, "/"); ok {
			j.Account, j.ID, j.Request.InstanceName = name, rest, rest
		}
		if _, err := w.producer.Create(w.t.Context(), j); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *cluster) closeBatch(batch string, accounts ...string) {
	w.t.Helper()
	if err := w.producer.CloseBatch(w.t.Context(), batch, accounts...); err != nil {
		w.t.Fatal(err)
	}
}

// completions are the different events of batches that came, by their IDs; one that
// came twice said the same.
func (w *cluster) completions() map[string]tasks.Event {
	w.t.Helper()
	w.receiver.mu.Lock()
	defer w.receiver.mu.Unlock()
	events, bodies := map[string]tasks.Event{}, map[string]string{}
	for _, p := range w.receiver.batches {
		if first, again := bodies[p.id]; again && first != p.body {
			w.t.Errorf("%s came as\n%s\nand as\n%s", p.id, first, p.body)
		}
		events[p.id], bodies[p.id] = p.event, p.body
	}
	return events
}

// awaitCompletions waits for n events of batches, and some time for one too many. It
// returns them as account/batch#completion, and how the jobs ended.
func (w *cluster) awaitCompletions(limit time.Duration, n int) map[string]tasks.EventBatchJobs {
	w.t.Helper()
	w.await("told of the batches", limit, func() bool { return len(w.completions()) >= n })
	time.Sleep(3 * time.Minute)
	out := map[string]tasks.EventBatchJobs{}
	for _, e := range w.completions() {
		out[tasks.BatchRef{Account: e.Data.Account, Batch: e.Data.BatchID, Completion: e.Data.Batch.Completion}.String()] = e.Data.Batch.Jobs
	}
	if events := w.completions(); len(out) != len(events) {
		w.t.Errorf("%d IDs for %d completions", len(events), len(out))
	}
	return out
}

func (w *cluster) created(id string) func() bool {
	return func() bool { return w.record(id).State == tasks.StateCreated }
}

// The same end is told once, whatever comes first, dies, or is lost.
func TestABatchIsToldOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		run  func(w *cluster)
	}{
		{"closed before the first job ends", func(w *cluster) {
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
			w.start(withReceivers())
		}},
		{"closed after the last job has ended", func(w *cluster) {
			w.enqueueBatch("march", "a", "b")
			w.start(withReceivers())
			w.await("the end", time.Minute, func() bool { return w.created("a")() && w.created("b")() })
			w.closeBatch("march", account)
		}},
		{"the producer dies before the end, and the same file comes again", func(w *cluster) {
			w.enqueueBatch("march", "a")
			w.start(withReceivers())
			w.await("the end", time.Minute, w.created("a"))
			time.Sleep(3 * time.Minute)
			if n := len(w.completions()); n != 0 {
				w.t.Errorf("%d completions of a batch that nobody has closed", n)
			}
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
		}},
		{"the queue loses its task", func(w *cluster) {
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
			w.start(withReceivers(), func(_ *process, s *setup) { s.Queue = nobody{} })
		}},
		{"the producer dies between closing and queueing", func(w *cluster) {
			w.enqueueBatch("march", "a", "b")
			w.start(withReceivers())
			w.await("the end", time.Minute, func() bool { return w.created("a")() && w.created("b")() })
			if n, err := w.ledger.CloseBatch(w.t.Context(), account, "march"); n != 1 || err != nil {
				w.t.Fatal(n, err)
			}
		}},
		{"the worker dies between the last step and its callback", func(w *cluster) {
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
			w.start(withReceivers(), func(p *process, s *setup) { s.Queue = killing{p} })
			w.await("the end", 5*time.Minute, func() bool { return w.created("a")() && w.created("b")() })
			w.start(withReceivers())
		}},
		{"the worker dies after the receiver has it", func(w *cluster) {
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
			w.start(withReceivers(), func(p *process, s *setup) { s.Sender = dying{w.receiver, p} })
			w.await("the first try", 5*time.Minute, func() bool { return len(w.completions()) > 0 })
			w.start(withReceivers())
		}},
		{"the receiver is down", func(w *cluster) {
			w.receiver.fails = 2
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
			w.start(withReceivers())
		}},
		{"two workers", func(w *cluster) {
			w.start(withReceivers())
			w.start(withReceivers())
			w.enqueueBatch("march", "a", "b")
			w.closeBatch("march", account)
		}},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{})
			tt.run(w)
			got := w.awaitCompletions(30*time.Minute, 1)
			if diff := cmp.Diff(map[string]tasks.EventBatchJobs{"acme/march#1": {Total: 2, Created: 2}}, got); diff != "" {
				t.Errorf("completions (-want +got):\n%s", diff)
			}
			c, err := w.ledger.Completion(t.Context(), march)
			if err != nil || c.Callback.State != tasks.CallbackDelivered {
				t.Errorf("the completion: %+v, %v", c, err)
			}
			w.wantCreated("a", "b")
		})
	}
}

// killing kills its process when a batch's callback is to be queued.
type killing struct{ *process }

func (k killing) Callback(context.Context, tasks.Ref) error { return nil }

func (k killing) BatchCallback(context.Context, tasks.BatchRef) error {
	k.kill()
	return errors.New("killed")
}

// dying kills its process when the receiver has taken a batch's event.
type dying struct {
	*fakeReceiver
	p *process
}

func (d dying) Send(ctx context.Context, url, id string, body []byte) tasks.Delivery {
	answer := d.fakeReceiver.Send(ctx, url, id, body)
	if strings.Contains(string(body), string(tasks.EventBatchCompleted)) {
		d.p.kill()
	}
	return answer
}

func TestABatchThatGoesOnIsToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.cloud.FailName("b", camstest.Fault{Reply: camstest.ReplyRejected})
		w.start(withReceivers())
		w.enqueueBatch("march", "a", "b")
		w.closeBatch("march", account)
		w.awaitCompletions(time.Minute, 1)

		o := operate.Operator{Store: w.ledger, Queue: w.queue}
		noError(t, o.Retry(t.Context(), operate.Job(tasks.Ref{Account: account, ID: "b"}))[0])
		w.awaitCompletions(time.Minute, 2)

		w.enqueueBatch("march", "c")
		w.await("the end", time.Minute, w.created("c"))
		w.closeBatch("march", account)
		got := w.awaitCompletions(time.Minute, 3)
		want := map[string]tasks.EventBatchJobs{
			"acme/march#1": {Total: 2, Created: 1, Failed: 1}, "acme/march#2": {Total: 2, Created: 2}, "acme/march#3": {Total: 3, Created: 3},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("completions (-want +got):\n%s", diff)
		}
		for _, e := range w.completions() {
			if b := e.Data.Batch; (b.Completion == 1) != (len(b.Codes) == 1) {
				t.Errorf("completion %d: codes %v", b.Completion, b.Codes)
			}
		}
	})
}

func TestAFileOfTwoAccountsIsTwoBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.cloud.FailName("slow", camstest.Fault{Created: true, Reply: camstest.ReplyHang})
		w.start(withReceivers("eu"))
		w.enqueueBatch("march", "a", "eu/b", "eu/slow")
		w.closeBatch("march")
		w.await("the first", 10*time.Second, func() bool { return len(w.completions()) == 1 })
		got := w.awaitCompletions(time.Hour, 2)
		want := map[string]tasks.EventBatchJobs{"acme/march#1": {Total: 1, Created: 1}, "eu/march#1": {Total: 2, Created: 2}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("completions (-want +got):\n%s", diff)
		}
	})
}

func TestAHeldJobIsDecidedBeforeItsBatchIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.cloud.FailName("b", camstest.Fault{Reply: camstest.ReplyHang})
		w.start(withReceivers(), func(_ *process, s *setup) { s.OnNotFound = worker.NotFoundHold })
		w.enqueueBatch("march", "a", "b")
		w.closeBatch("march", account)
		w.await("held", time.Hour, func() bool { return w.record("b").State == tasks.StateHeld })
		time.Sleep(3 * time.Minute)
		if n := len(w.completions()); n != 0 {
			t.Errorf("%d completions while a job is held", n)
		}
		o := operate.Operator{Store: w.ledger, Queue: w.queue}
		_, err := o.Resolve(t.Context(), tasks.Ref{Account: account, ID: "b"}, operate.Decision{By: tasks.StepResolveFailed})
		noError(t, err)
		got := w.awaitCompletions(time.Minute, 1)
		if diff := cmp.Diff(map[string]tasks.EventBatchJobs{"acme/march#1": {Total: 2, Created: 1, Failed: 1}}, got); diff != "" {
			t.Errorf("completions (-want +got):\n%s", diff)
		}
	})
}

func TestWithdrawingTheLastJobsCompletesTheirBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueueBatch("march", "a", "b")
		w.closeBatch("march", account)
		o := operate.Operator{Store: w.ledger, Queue: w.queue}
		for _, err := range o.Cancel(t.Context(), operate.Job(tasks.Ref{Account: account, ID: "a"}), operate.Job(tasks.Ref{Account: account, ID: "b"})) {
			noError(t, err)
		}
		w.start(withReceivers())
		got := w.awaitCompletions(time.Minute, 1)
		if diff := cmp.Diff(map[string]tasks.EventBatchJobs{"acme/march#1": {Total: 2, Cancelled: 2}}, got); diff != "" {
			t.Errorf("completions (-want +got):\n%s", diff)
		}
	})
}

func TestADeadCallbackOfABatchIsReplayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.receiver.fails = 3 // as many as there are tries
		w.start(withReceivers())
		w.enqueueBatch("march", "a")
		w.closeBatch("march", account)
		state := func() tasks.CallbackState {
			c, _ := w.ledger.Completion(t.Context(), march)
			return c.Callback.State
		}
		w.await("given up", time.Hour, func() bool { return state() == tasks.CallbackDead })
		o := operate.Operator{Store: w.ledger, Queue: w.queue}
		nothing := tasks.BatchRef{Account: account, Batch: "april", Completion: 1}
		errs := o.Replay(t.Context(), operate.Completion(march), operate.Completion(nothing))
		if errs[0] != nil || !errors.Is(errs[1], tasks.ErrNotFound) {
			t.Fatal(errs)
		}
		w.await("told", time.Minute, func() bool { return state() == tasks.CallbackDelivered })
		refused, ok := errors.AsType[*operate.RefusedError](o.Replay(t.Context(), operate.Completion(march))[0])
		if !ok || refused.Target.Batch != march || !strings.Contains(refused.Error(), "batch acme/march#1 has no dead callback; it is delivered") {
			t.Errorf("again: %v", refused)
		}
		if n := len(w.completions()); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}
