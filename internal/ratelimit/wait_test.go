package ratelimit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/redistest"
)

func tooLong(t *testing.T, err error) time.Duration {
	t.Helper()
	e, ok := errors.AsType[*ratelimit.WaitTooLongError](err)
	if !ok {
		t.Fatalf("Wait: %v, want that it takes too long", err)
	}
	return e.After
}

func TestAPauseThatIsTooLongIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := redistest.Mini(t)
		here := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 10})
		other := ratelimit.New(redistest.MiniClient(t, m), ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 10})
		waiting := make(chan error)
		here.SetRate(0.5)
		for range 4 { // they hold, since they do not know of a pause
			go func() {
				_, err := here.Wait(t.Context())
				waiting <- err
			}()
		}
		time.Sleep(time.Second)
		if err := here.Throttled(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if d := tooLong(t, <-waiting); d != time.Minute {
				t.Errorf("come again after %v, want a minute", d)
			}
		}
		waited, err := other.Wait(t.Context())
		if d := tooLong(t, err); d != time.Minute || waited != 0 {
			t.Errorf("the other process: after %v, come again after %v; want at once, a minute", waited, d)
		}
		time.Sleep(56 * time.Second)
		if waited, err := other.Wait(t.Context()); err != nil || waited != 4*time.Second {
			t.Errorf("when little is left of the pause: waited %v, %v; want 4 s", waited, err)
		}
	})
}

func TestNobodyIsHeldLongerThanMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		b := ratelimit.New(c, ratelimit.Config{MaxWait: 3 * time.Second}).Bucket(key, ratelimit.Limit{Rate: 2})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var after []time.Duration
		for range 10 {
			wg.Go(func() {
				waited, err := b.Wait(t.Context())
				if err == nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				after = append(after, tooLong(t, err))
				if waited != 3*time.Second {
					t.Errorf("refused after %v, want 3 s", waited)
				}
			})
		}
		wg.Wait()
		if len(after) < 4 || len(after) > 5 { // the sixth slot is due just then
			t.Errorf("%d of 10 were refused, want 4 or 5", len(after))
		}
		if slices.Min(after) < 500*time.Millisecond || slices.Max(after) > 2500*time.Millisecond {
			t.Errorf("come again after %v, want from one interval to five", after)
		}
		if d := wait(t, b); d > 500*time.Millisecond {
			t.Errorf("the next one waited %v: something was booked for those that were refused", d)
		}
	})
}

func TestASlowAccountGetsItsSlotsHoweverShortMaxWaitIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		b := ratelimit.New(c, ratelimit.Config{MaxWait: time.Second}).Bucket(key, ratelimit.Limit{Rate: 0.1})
		for range 3 {
			if d := wait(t, b); d != 10*time.Second {
				t.Errorf("waited %v, want the interval of 10 s", d)
			}
		}
	})
}

func TestASlotOfARefusedWaiterGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := redistest.Mini(t)
		b := ratelimit.New(c, ratelimit.Config{Horizon: time.Minute, MaxWait: time.Second}).Bucket(key, ratelimit.Limit{Rate: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 5 {
			far := ratelimit.Config{Horizon: time.Minute, MaxWait: time.Minute}
			other := ratelimit.New(redistest.MiniClient(t, m), far).Bucket(key, ratelimit.Limit{Rate: 1})
			wg.Go(func() { other.Wait(ctx) })
		}
		synctest.Wait()
		before := state(t, b)
		waited, err := b.Wait(t.Context())
		tooLong(t, err)
		if waited != 2*time.Second {
			t.Errorf("refused after %v, want two intervals", waited)
		}
		if after := state(t, b); !after.Next.Equal(before.Next) {
			t.Errorf("the next slot was at %v and is at %v: the one of the refused waiter is lost", before.Next, after.Next)
		}
		cancel()
		wg.Wait()
	})
}

// Urgent waiters go first, in their order, and hold up no other for ever.
func TestUrgentWaitersGoFirstAndTheOthersGoOn(t *testing.T) {
	for _, tt := range []struct{ come, served string }{
		{"a b U c V", "U V a b c"},
		{"a U V W X Y Z", "U V W X a Y Z"},
		{"a U V b W X Y Z", "U V W X a Y Z b"},
	} {
		t.Run(tt.come, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := redistest.Mini(t)
				b := process(t, m, ratelimit.Limit{Rate: 10})
				var wg sync.WaitGroup
				var mu sync.Mutex
				var served []string
				for _, name := range strings.Fields(tt.come) {
					wait := b.Wait
					if name < "a" {
						wait = b.WaitUrgent
					}
					wg.Go(func() {
						if _, err := wait(t.Context()); err != nil {
							t.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						served = append(served, name)
					})
					time.Sleep(time.Millisecond)
				}
				wg.Wait()
				if diff := cmp.Diff(strings.Fields(tt.served), served); diff != "" {
					t.Errorf("order (-want +went):\n%s", diff)
				}
			})
		})
	}
}

// slow is a go-redis hook: each round trip takes a while.
type slow struct {
	trips
	d time.Duration
}

func (s *slow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return s.trips.ProcessHook(func(ctx context.Context, cmd redis.Cmder) error {
		time.Sleep(s.d)
		return next(ctx, cmd)
	})
}

func TestAnUrgentWaiterDoesNotAskAgainWhileRedisIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		// The script is loaded, and the connection there.
		wait(t, ratelimit.New(c, patient).Bucket(key, ratelimit.Limit{Rate: 20}))
		hook := &slow{d: 20 * time.Millisecond}
		c.AddHook(hook)
		b := ratelimit.New(c, patient).Bucket(key, ratelimit.Limit{Rate: 20})
		var wg sync.WaitGroup
		wg.Go(func() { wait(t, b) })
		time.Sleep(5 * time.Millisecond)
		waited, err := b.WaitUrgent(t.Context())
		if err != nil || waited > 65*time.Millisecond {
			t.Errorf("the urgent one waited %v, %v; want the first slot", waited, err)
		}
		wg.Wait()
		// One for each; had the urgent one asked too, both would have been booked twice.
		if n := hook.n.Load(); n != 2 {
			t.Errorf("%d round trips for two grants, want 2", n)
		}
		s := state(t, b)
		if d := s.Next.Sub(s.Now); d > 50*time.Millisecond {
			t.Errorf("the next slot is %v away: more was booked than used", d)
		}
	})
}

func TestSetRateHoldsForEverySlotFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := redistest.Mini(t)
		l := ratelimit.New(c, patient)
		b := l.Bucket(key, ratelimit.Limit{Rate: 10, Burst: 3})
		if r := b.Rate(); r != 10 {
			t.Errorf("rate %v before the first slot, want the ceiling", r)
		}
		other := process(t, m, ratelimit.Limit{Rate: 10})
		wait(t, b)
		b.SetRate(2)
		if d := wait(t, b); d != 500*time.Millisecond {
			t.Errorf("waited %v, want the new interval of 500 ms", d)
		}
		if d := wait(t, other); d != 100*time.Millisecond {
			t.Errorf("the other process, which was not told, waited %v, want 100 ms", d)
		}
		if r, s := b.Rate(), state(t, other); r != 2 || s.Rate != 10 || s.Ceiling != 10 {
			t.Errorf("rate %v here, state %+v there; want 2, and 10 by the one that booked last", r, s)
		}
		time.Sleep(time.Minute)
		for range 3 { // the burst stays what it was
			if d := wait(t, b); d != 0 {
				t.Errorf("waited %v, want a burst of 3", d)
			}
		}
	})
}

func TestSetRateUnderAThrottledLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		b := process(t, m, ratelimit.Limit{Rate: 100})
		wait(t, b)
		for range 10 {
			throttled(t, b, 0)
		}
		b.SetRate(0.5)
		if r := b.Rate(); r != 0.5 {
			t.Errorf("rate %v, want the new ceiling", r)
		}
		time.Sleep(time.Second)
		if d := wait(t, b); d > 2*time.Second || d < time.Second {
			t.Errorf("waited %v, want the rest of an interval of 2 s", d)
		}
	})
}

func TestStateIsOneRoundTripAndBooksNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 20})
		empty := state(t, b)
		if !empty.BlockedUntil.IsZero() || !empty.ThrottledAt.IsZero() || empty.Ceiling != 0 || empty.Rate != 20 {
			t.Errorf("of a bucket that nobody used: %+v", empty)
		}
		if n := c.Exists(t.Context(), key).Val(); n != 0 {
			t.Error("State wrote something")
		}
		wait(t, b)
		var count trips
		c.AddHook(&count)
		first := state(t, b)
		if n := count.n.Load(); n != 1 {
			t.Errorf("State took %d round trips", n)
		}
		throttled(t, b, 0)
		if s := state(t, b); s.ThrottledAt.Before(first.Now) || s.Now.Before(s.ThrottledAt) || s.Rate >= 20 || s.Ceiling != 20 {
			t.Errorf("after a throttled answer: %+v, before: %+v", s, first)
		}
	})
}

func TestARestartHandsOutNoSecondBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		limit := ratelimit.Limit{Rate: 10, Burst: 5}
		before := process(t, m, limit)
		wait(t, before)
		time.Sleep(time.Minute)
		for range 5 {
			wait(t, before)
		}
		throttled(t, before, 0)
		after := process(t, m, limit)
		if d := wait(t, after); d < 100*time.Millisecond {
			t.Errorf("the new process waited %v, want an interval", d)
		}
		if r := after.Rate(); r >= 10 {
			t.Errorf("the new process goes at %v, want the rate that was lowered before", r)
		}
	})
}
