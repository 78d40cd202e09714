package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Bucket is one process's side of one account's quota. It is safe for
// concurrent use.
//
// Waiters stand in a queue, and the one at its head does the work for all: it
// asks Redis for as many slots as there are waiters, sleeps until the first
// one, leaves with it and wakes the next, who finds the rest of the slots. So
// a slot belongs to the queue until it is taken, and a waiter that gives up
// takes none with it.
type Bucket struct {
	limiter *Limiter
	key     string

	mu    sync.Mutex
	limit Limit
	queue []*waiter

	// What Redis booked and nobody took yet: the times from which each slot
	// may be used, the last one's name in Redis, and the interval between them.
	slots    []time.Time
	last     string
	interval time.Duration

	notBefore time.Time // asking Redis is of no use earlier
	pauses    int       // counts Pause, to notice one during a round trip
}

type waiter struct {
	wake chan struct{} // holds one: look at the bucket again
	err  error         // set, and out of the queue, when asking failed
}

func (w *waiter) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Wait blocks until the caller may do one thing, and tells how long it waited.
//
// It returns the context's error when that ends first: the slot is left to the
// next waiter, or given back to Redis if none waits and no other process has
// booked since; else it is wasted. It returns an error that wraps the client's
// when Redis does not answer, to all that wait then. While Redis is asked, the
// end of the context is noticed when the client returns.
func (b *Bucket) Wait(ctx context.Context) (waited time.Duration, err error) {
	begin := time.Now()
	w := b.join()
	for {
		if err := ctx.Err(); err != nil {
			b.leave(ctx, w)
			return time.Since(begin), fmt.Errorf("ratelimit: wait for %s: %w", b.key, err)
		}
		switch step, until := b.look(w); step {
		case granted:
			return time.Since(begin), nil
		case failed:
			return time.Since(begin), w.err
		case ask:
			b.ask(ctx)
		case hold:
			w.hold(ctx, until)
		}
	}
}

// Pause lets no slot of any process start within d from now, on Redis's clock,
// for instance because the API asked for it. It never shortens a pause, and
// when it ends the burst has to be earned again. What this process has booked
// is given up at once; another process may use what it had booked, which is
// not further ahead than the horizon.
//
// An error means that other processes do not know of the pause; this one
// keeps it anyway.
func (b *Bucket) Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	b.mu.Lock()
	b.pauses++
	b.slots = nil
	if t := time.Now().Add(d); t.After(b.notBefore) {
		b.notBefore = t
	}
	b.nudgeHead()
	limit := b.limit
	b.mu.Unlock()

	if err := b.limiter.pause(ctx, b.key, limit, d); err != nil {
		return fmt.Errorf("ratelimit: pause %s: %w", b.key, err)
	}
	return nil
}

// State is how a bucket stands, in times of Redis's clock.
type State struct {
	Now          time.Time // when Redis was asked
	Next         time.Time // start of the next slot; not after Now if one is free
	BlockedUntil time.Time // end of the last pause; zero if there was none
	ThrottledAt time.Time
	Rate         float64   // slots a second, of the last booking by any process; 0 if there was none
}

// State asks Redis how the bucket stands. It books nothing.
func (b *Bucket) State(ctx context.Context) (State, error) {
	b.mu.Lock()
	limit := b.limit
	b.mu.Unlock()
	r, err := b.limiter.reserve(ctx, b.key, limit, 0)
	if err != nil {
		return State{}, fmt.Errorf("ratelimit: look at %s: %w", b.key, err)
	}
	s := State{Now: time.UnixMicro(r.now), Rate: r.rate}
	s.Next = s.Now.Add(r.wait)
	if r.blocked > 0 {
		s.BlockedUntil = time.UnixMicro(r.blocked)
	}
	return s, nil
}

func (b *Bucket) setLimit(limit Limit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit == limit {
		return
	}
	b.limit = limit
	// When to ask was reckoned with the old limit. A pause is asked for again.
	b.notBefore = time.Time{}
	b.nudgeHead()
}

func (b *Bucket) join() *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &waiter{wake: make(chan struct{}, 1)}
	b.queue = append(b.queue, w)
	return w
}

// leave takes w out of the queue, and gives slots back that nobody is left for.
func (b *Bucket) leave(ctx context.Context, w *waiter) {
	b.mu.Lock()
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		b.nudgeHead()
	}
	n, last, interval := len(b.slots), b.last, b.interval
	if len(b.queue) > 0 || n == 0 {
		b.mu.Unlock()
		return
	}
	b.slots = nil
	b.mu.Unlock()

	// The waiter's context has ended; this must not take long nor succeed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	b.limiter.release(ctx, b.key, last, n, interval)
}

type step int

const (
	granted step = iota // w has its slot and is out of the queue
	failed              // w.err says why
	ask                 // w is to ask Redis
	hold                // w is to sleep until it is woken, or until then if that is not zero
)

func (b *Bucket) look(w *waiter) (s step, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.err != nil {
		return failed, time.Time{}
	}
	if b.queue[0] != w {
		return hold, time.Time{}
	}
	now := time.Now()
	// Slots that a stopped process comes back to would all be used at once.
	for len(b.slots) > 0 && now.Sub(b.slots[0]) > b.limiter.horizon {
		b.slots = b.slots[1:]
	}
	switch {
	case len(b.slots) == 0 && b.notBefore.After(now):
		return hold, b.notBefore
	case len(b.slots) == 0:
		return ask, time.Time{}
	case b.slots[0].After(now):
		return hold, b.slots[0]
	}
	b.slots = b.slots[1:]
	b.queue = b.queue[1:]
	b.nudgeHead()
	return granted, time.Time{}
}

// ask books slots for the whole queue. Only its head calls it, when there are
// no slots.
func (b *Bucket) ask(ctx context.Context) {
	b.mu.Lock()
	limit, want, pauses := b.limit, len(b.queue), b.pauses
	b.mu.Unlock()

	r, err := b.limiter.reserve(ctx, b.key, limit, want)
	// Redis counted from an earlier moment: slots come late rather than early.
	answered := time.Now()

	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case ctx.Err() != nil && err != nil:
		// The head's own affair: it leaves, and the next one asks.
	case err != nil:
		for _, w := range b.queue {
			w.err = fmt.Errorf("ratelimit: reserve %s: %w", b.key, err)
			w.nudge()
		}
		b.queue = nil
	case b.pauses != pauses:
		// Booked before the pause or after, nobody can tell: ask again.
	case r.booked == 0:
		b.notBefore = answered.Add(r.again)
	default:
		b.last, b.interval = r.last, limit.interval()
		for i := range r.booked {
			// A burst's slots start in the past and may be used now.
			d := max(r.wait+time.Duration(i)*b.interval, 0)
			b.slots = append(b.slots, answered.Add(d))
		}
	}
}

func (b *Bucket) nudgeHead() {
	if len(b.queue) > 0 {
		b.queue[0].nudge()
	}
}

// hold sleeps until w is woken, ctx ends or, unless it is zero, until.
func (w *waiter) hold(ctx context.Context, until time.Time) {
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-w.wake:
	case <-timer:
	case <-ctx.Done():
	}
}
