package worker

import (
	"context"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

const (
	// untoldPause is how long a job stays out of its slot whose callback could not be
	// queued. The sweeper queues it too.
	untoldPause = 5 * time.Second
	// tellPause is the time between two tries while callbacks cannot be queued.
	tellPause = time.Second
)

// telling remembers whether callbacks can be queued. Their queue may lie in a part of
// Redis that is away: then one turn at a time finds out whether it is back, and the
// others do not hold their lanes' slots for it. The ledger knows what is owed.
type telling struct {
	mu   sync.Mutex
	next time.Time // of the next try; zero while all goes well
}

func (t *telling) mayTry() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next.IsZero() {
		return true
	}
	now := time.Now()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(tellPause)
	return true
}

func (t *telling) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = time.Time{}
	if err != nil {
		t.next = time.Now().Add(tellPause)
	}
}

// tell queues the callback that a job owes. A job that owes none is done.
func (w *Worker) tell(ctx context.Context, r tasks.Record) error {
	if r.Callback.State != tasks.CallbackOwed {
		return nil
	}
	if !w.telling.mayTry() {
		return &SnoozeError{untoldPause, "callbacks cannot be queued"}
	}
	err := w.finalizer().EnqueueCallback(ctx, r)
	w.telling.note(err)
	if err != nil {
		return &SnoozeError{untoldPause, "its callback could not be queued"}
	}
	return nil
}
