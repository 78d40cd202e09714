package worker

import (
	"context"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

const (
	// unqueuedDelay is the time until a job comes back whose callback could not be queued.
	// The sweeper queues the callback too.
	unqueuedDelay = 5 * time.Second
	// queueRetryPause is the time between two attempts while callbacks cannot be queued.
	queueRetryPause = time.Second
)

// callbackQueue remembers whether callbacks can be queued. Their queue may be on a node of
// Redis that cannot be reached. Then one turn at a time checks it, and the others do not
// occupy the slots of their lanes. The record says which callbacks are owed.
type callbackQueue struct {
	mu   sync.Mutex
	next time.Time // of the next attempt; zero while callbacks can be queued
}

// mayTry reports whether this turn may queue a callback.
func (t *callbackQueue) mayTry() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next.IsZero() {
		return true
	}
	now := time.Now()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(queueRetryPause)
	return true
}

func (t *callbackQueue) record(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = time.Time{}
	if err != nil {
		t.next = time.Now().Add(queueRetryPause)
	}
}

// enqueueCallback queues the callback that a job owes, if it owes one.
//
// Dies before it: the record says that a callback is owed, and the sweeper queues it.
func (w *Worker) enqueueCallback(ctx context.Context, r tasks.Record) error {
	if r.Callback.State != tasks.CallbackOwed {
		return nil
	}
	if !w.callbackQueue.mayTry() {
		return &SnoozeError{unqueuedDelay, "callbacks cannot be queued"}
	}
	err := w.finalizer().EnqueueCallback(ctx, r)
	w.callbackQueue.record(err)
	if err != nil {
		return &SnoozeError{unqueuedDelay, "its callback could not be queued"}
	}
	return nil
}
