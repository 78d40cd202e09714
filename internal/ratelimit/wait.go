package ratelimit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// WaitTooLongError says that a caller was not held until it got a slot.
type WaitTooLongError struct {
	// After is when to come again: when the pause ends, or else about when those
	// who stood before the caller will be gone.
	After time.Duration
}

func (e *WaitTooLongError) Error() string {
	return fmt.Sprintf("it takes too long; come again in %v", e.After.Round(time.Millisecond))
}

// RetryAfter is After, as package worker asks for it.
func (e *WaitTooLongError) RetryAfter() time.Duration { return e.After }

// Wait blocks until the caller may do one thing, and returns how long it waited.
//
// It returns an error that wraps a [*WaitTooLongError] if that takes longer than
// [Config.MaxWait]: at once if a pause says so, else when the time has passed. It
// returns the context's error when that ends first. Either way a slot that was
// booked is left to the next waiter, or given back to Redis if none waits and no
// other process has booked since; else it is wasted. It returns an error that
// wraps the client's when Redis does not answer, to all that wait then. While
// Redis is asked, the end of the context is noticed when the client returns.
func (b *Bucket) Wait(ctx context.Context) (waited time.Duration, err error) {
	return b.wait(ctx, false)
}

// WaitUrgent is [Bucket.Wait] for a caller that goes before those in this process
// that are not urgent, but for those that [overtakes] urgent ones went before.
func (b *Bucket) WaitUrgent(ctx context.Context) (waited time.Duration, err error) {
	return b.wait(ctx, true)
}

func (b *Bucket) wait(ctx context.Context, urgent bool) (waited time.Duration, err error) {
	w := b.join(urgent)
	for {
		if err := ctx.Err(); err != nil {
			return b.leave(ctx, w, err)
		}
		switch step, until := b.next(w); step {
		case granted:
			return time.Since(w.since), nil
		case failed:
			return time.Since(w.since), w.err
		case refused:
			return b.leave(ctx, w, &WaitTooLongError{After: time.Until(until)})
		case ask:
			b.ask(ctx)
		case sleep:
			w.sleep(ctx, until)
		}
	}
}

// overtakes is how many urgent callers go before one that is not. Without an end a
// flood of them would hold it until its wait is too long, time after time.
const overtakes = 4

type waiter struct {
	since     time.Time
	urgent    bool
	overtaken int
	wake      chan struct{} // holds one: check the bucket again
	err       error         // set, and out of the queue, when asking failed
}

func (w *waiter) givesWay() bool { return !w.urgent && w.overtaken < overtakes }

func (w *waiter) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it will check anyway
	}
}

// sleep sleeps until w is woken, ctx ends or the time has come.
func (w *waiter) sleep(ctx context.Context, until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-w.wake:
	case <-t.C:
	case <-ctx.Done():
	}
}

// spare is the time for which slots are booked beyond those that wait, so that a
// fast account does not cost a round trip for each call. Those that no caller comes
// for in time are wasted: at most as many as fit into it, each time that Redis is
// asked. An account of less than 100 a second books none.
const spare = 10 * time.Millisecond

// join puts a waiter at the end of the queue, or before those that give way.
func (b *Bucket) join(urgent bool) *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &waiter{since: time.Now(), urgent: urgent, wake: make(chan struct{}, 1)}
	if len(b.queue) == 0 { // or spare slots without a caller would be used at once
		for len(b.slots) > 0 && b.slots[0].Before(w.since) {
			b.slots = b.slots[1:]
		}
	}
	position := len(b.queue)
	for urgent && position > 0 && b.queue[position-1].givesWay() {
		position--
		b.queue[position].overtaken++
	}
	b.queue = slices.Insert(b.queue, position, w)
	return w
}

// leave takes w out of the queue, and gives back slots that no waiter needs.
// It returns what Wait does.
func (b *Bucket) leave(ctx context.Context, w *waiter, why error) (time.Duration, error) {
	b.mu.Lock()
	if i := slices.Index(b.queue, w); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		b.nudgeHead()
	}
	var unused []time.Time
	if len(b.queue) == 0 {
		unused, b.slots = b.slots, nil
	}
	limit, last, interval := b.limit, b.last, b.interval
	b.mu.Unlock()

	waited := time.Since(w.since)
	if len(unused) > 0 {
		// The waiter's context may have ended; this must not take long nor succeed.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _, _ = b.limiter.release(ctx, b.key, limit, last, len(unused), interval)
	}
	return waited, fmt.Errorf("ratelimit: wait for %s: %w", b.key, why)
}

type step int

const (
	granted step = iota // w has its slot and is out of the queue
	failed              // w.err says why
	refused             // w is to come again at until
	ask                 // w is to ask Redis
	sleep               // w is to sleep until it is woken, or at least checks again at until
)

// next returns what w does next.
func (b *Bucket) next(w *waiter) (s step, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.err != nil {
		return failed, time.Time{}
	}
	now, position := time.Now(), slices.Index(b.queue, w)
	if position == 0 && b.acquire(now) {
		b.queue = b.queue[1:]
		b.nudgeHead()
		return granted, time.Time{}
	}

	until = w.since.Add(max(b.limiter.maxWait, b.time(2)))
	askAt := later(b.notBefore, b.gate.Add(-b.limiter.horizon))
	switch {
	case b.gate.After(until):
		return refused, b.gate
	case !until.After(now):
		return refused, now.Add(b.time(position + 1))
	case position > 0 || b.asking:
		return sleep, until
	case len(b.slots) > 0:
		return sleep, earlier(until, b.slots[0])
	case askAt.After(now):
		return sleep, earlier(until, askAt)
	}
	b.asking = true
	return ask, time.Time{}
}

// time is how long n slots take at the rate in force.
func (b *Bucket) time(n int) time.Duration {
	const century = 3e9 // more would not fit
	return time.Duration(min(float64(n)/b.seenRate(), century) * float64(time.Second))
}

// acquire takes the next slot, if its time has come.
func (b *Bucket) acquire(now time.Time) bool {
	// Slots that a stopped process comes back to would all be used at once.
	for len(b.slots) > 0 && now.Sub(b.slots[0]) > b.limiter.horizon {
		b.slots = b.slots[1:]
	}
	if len(b.slots) == 0 || b.slots[0].After(now) {
		return false
	}
	b.slots = b.slots[1:]
	return true
}

// ask books slots for the whole queue. One waiter at a time calls it, when there
// are no slots.
func (b *Bucket) ask(ctx context.Context) {
	b.mu.Lock()
	limit, want := b.limit, max(len(b.queue), int(b.seenRate()*spare.Seconds()))
	b.mu.Unlock()

	asked := time.Now()
	r, err := b.limiter.reserve(ctx, b.key, limit, want)
	answered := time.Now()

	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
	switch {
	case ctx.Err() != nil && err != nil:
		// The waiter's own affair: it leaves, and the next one asks.
	case err != nil:
		for _, w := range b.queue {
			w.err = fmt.Errorf("ratelimit: reserve %s: %w", b.key, err)
			w.nudge()
		}
		b.queue = nil
	default:
		b.book(r, asked, answered)
	}
	b.nudgeHead() // it may be another one by now
}

// book notes what Redis answered. It did so at some moment between asked and
// answered: pauses end early rather than late, or they would hide the first slot
// after them, and slots come late rather than early.
func (b *Bucket) book(r reservation, asked, answered time.Time) {
	b.rate = r.rate
	b.shut(asked.Add(micros(r.blocked - r.now)))
	if r.booked == 0 {
		b.notBefore = answered.Add(r.again)
		return
	}
	b.last, b.interval = r.last, r.interval
	for i := range r.booked {
		// A burst's slots start in the past and may be used now.
		at := answered.Add(max(r.wait+time.Duration(i)*r.interval, 0))
		// They may have been booked before a pause that began meanwhile.
		if !at.Before(b.gate) {
			b.slots = append(b.slots, at)
		}
	}
}

func (b *Bucket) nudgeHead() {
	if len(b.queue) > 0 {
		b.queue[0].nudge()
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
