package worker_test

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// fakeBreaker is a breaker in fakeStore.
type fakeBreaker struct {
	mu     sync.Mutex
	trips  map[string]tasks.Trip // by account
	prober map[string]tasks.ProbeID
	until  time.Time // when the prober counts as dead
}

func (f *fakeBreaker) tripped(account string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, open := f.trips[account]
	return open
}

func (f *fakeBreaker) Trip(_ context.Context, id tasks.ProbeID, t tasks.Trip, next time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, open := f.trips[id.Account]; open && f.prober[id.Account] != id {
		return nil
	}
	if f.trips == nil {
		f.trips, f.prober = map[string]tasks.Trip{}, map[string]tasks.ProbeID{}
	}
	t.ProbeAt = time.Now().Add(next)
	before, open := f.trips[id.Account]
	if open && before.Witness != id.ID && t.Witness != id.ID {
		t.Witness = ""
	} else {
		t.Witness = id.ID
	}
	f.trips[id.Account] = t
	delete(f.prober, id.Account)
	return nil
}

func (f *fakeBreaker) Probe(_ context.Context, id tasks.ProbeID, d time.Duration) (bool, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, open := f.trips[id.Account]
	switch prober := f.prober[id.Account]; {
	case !open || prober == id:
		return true, 0, nil
	case prober != (tasks.ProbeID{}) && time.Until(f.until) > 0:
		return false, time.Until(f.until), nil
	case time.Until(t.ProbeAt) > 0 && (t.Witness == "" || t.Witness == id.ID):
		return false, time.Until(t.ProbeAt), nil
	}
	f.prober[id.Account], f.until = id, time.Now().Add(d)
	return true, 0, nil
}

func (f *fakeBreaker) CloseBreaker(_ context.Context, id tasks.ProbeID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.prober[id.Account] == id {
		delete(f.trips, id.Account)
		delete(f.prober, id.Account)
	}
	return nil
}

func (f *fakeBreaker) AbortProbe(_ context.Context, id tasks.ProbeID, next time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.prober[id.Account] == id {
		delete(f.prober, id.Account)
		t := f.trips[id.Account]
		t.ProbeAt = time.Now().Add(next)
		f.trips[id.Account] = t
	}
	return nil
}

// fakeQueue is a queue of callbacks that counts them.
type fakeQueue struct {
	err error

	mu      sync.Mutex
	queued  map[tasks.Ref]int
	batches []tasks.BatchRef
}

func (o *fakeQueue) BatchCallback(_ context.Context, ref tasks.BatchRef) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batches = append(o.batches, ref)
	return o.err
}

func (o *fakeQueue) Callback(_ context.Context, ref tasks.Ref) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	if o.queued == nil {
		o.queued = map[tasks.Ref]int{}
	}
	o.queued[ref]++
	return nil
}

func (o *fakeQueue) all() map[tasks.Ref]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.queued)
}
