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
	// asking is set while a waiter is on its way to Redis, which may have lost its
	// place at the head to an urgent one meanwhile.
	asking bool

	// What Redis reserved and no call took yet: the times from which each slot
	// may be used, the last one's name in Redis, and the interval between them.
	slots    []time.Time
	last     int64
	interval time.Duration

	rate      float64   // as Redis reported it last; 0 before the first time
	gate      time.Time // no slot starts earlier, in no process
	notBefore time.Time // asking Redis is of no use earlier
}

// maxRetryAfter is the longest that an answer of the API can hold an account up.
// The vendor's own command line obeys no longer one either.
const maxRetryAfter = time.Minute

// Throttled reports that the API turned a call away for flow control. It lowers the
// rate, for all processes at once, to just under what goes through. A single call
// among hundreds of good ones costs a hundredth of the rate for some seconds; a
// series brings the rate down as fast as it comes, to a hundredth of the ceiling
// at the least. Then the rate climbs back, slowly at first and then faster and
// faster: in four to twelve seconds, or in up to three minutes if the account is
// turned away at the same level again and again.
//
// No slot of any process starts within retryAfter, up to a minute; 0 if the API
// did not say. If it did not, and turns away a few in a row, no slot starts for a
// moment that grows to a quarter of a second. What this process has booked before
// that is given up at once; another process may use what it had booked, which is
// not further ahead than the horizon.
//
// It takes one round trip. An error means that other processes do not know; this
// one keeps to retryAfter anyway.
func (b *Bucket) Throttled(ctx context.Context, retryAfter time.Duration) error {
	retryAfter = min(max(retryAfter, 0), maxRetryAfter)
	b.mu.Lock()
	b.shut(time.Now().Add(retryAfter))
	limit := b.limit
	b.mu.Unlock()

	asked := time.Now()
	s, err := b.limiter.throttled(ctx, b.key, limit, retryAfter)
	if err != nil {
		return fmt.Errorf("ratelimit: slow %s down: %w", b.key, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate = s.rate
	b.shut(asked.Add(micros(s.blocked - s.now)))
	return nil
}

// shut lets no slot start here before t. All waiters are woken, since it may be
// too long for them.
func (b *Bucket) shut(t time.Time) {
	if !t.After(b.gate) || !t.After(time.Now()) {
		return
	}
	b.gate = t
	b.slots = slices.DeleteFunc(b.slots, t.After)
	for _, w := range b.queue {
		w.nudge()
	}
}

// SetRate changes the ceiling, in slots a second, for every slot that this
// process books from now on. While processes disagree, each books by its own. It
// panics if the rate is not valid: see [Limit.Validate].
func (b *Bucket) SetRate(rate float64) {
	b.mu.Lock()
	limit := b.limit
	b.mu.Unlock()
	limit.Rate = rate
	if err := limit.Validate(); err != nil {
		panic(err)
	}
	b.setLimit(limit)
}

func (b *Bucket) setLimit(limit Limit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit == limit {
		return
	}
	b.limit = limit
	b.notBefore = time.Time{} // was reckoned with the old limit
	b.nudgeHead()
}

// Rate returns the rate in force, in slots a second, as this process last saw
// it: the ceiling before its first slot.
func (b *Bucket) Rate() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seenRate()
}

func (b *Bucket) seenRate() float64 {
	if b.rate == 0 {
		return b.limit.Rate
	}
	return min(b.rate, b.limit.Rate)
}

// State is how a bucket stands, in times of Redis's clock.
type State struct {
	Now          time.Time // when Redis was asked
	Next         time.Time // start of the next slot; not after Now if one is free
	BlockedUntil time.Time // end of the last pause; zero if there was none
	Rate         float64   // slots a second, in force now
	Ceiling      float64   // slots a second, of the last booking by any process; 0 if there was none
	ThrottledAt  time.Time // when the API last turned a call away; zero if never, or long ago
}

// State asks Redis how the bucket stands, in one round trip. It books nothing.
func (b *Bucket) State(ctx context.Context) (State, error) {
	b.mu.Lock()
	limit := b.limit
	b.mu.Unlock()
	r, err := b.limiter.reserve(ctx, b.key, limit, 0)
	if err != nil {
		return State{}, fmt.Errorf("ratelimit: look at %s: %w", b.key, err)
	}
	s := State{Now: time.UnixMicro(r.now), Rate: r.rate, Ceiling: r.ceiling}
	s.Next = s.Now.Add(r.wait)
	if r.blocked > 0 {
		s.BlockedUntil = time.UnixMicro(r.blocked)
	}
	if r.lowered > 0 {
		s.ThrottledAt = time.UnixMicro(r.lowered)
	}
	return s, nil
}
