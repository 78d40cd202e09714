package ratelimit_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/redistest"
)

// busy has workers take slots of the bucket until ctx ends.
func busy(ctx context.Context, wg *sync.WaitGroup, b *ratelimit.Bucket, workers int, g *grants) {
	for range workers {
		wg.Go(func() {
			for {
				if _, err := b.Wait(ctx); err != nil {
					return
				}
				g.add()
			}
		})
	}
}

// within counts the grants from one moment on and before another.
func (g *grants) within(from, to time.Time) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, at := range g.at {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

func throttled(t *testing.T, b *ratelimit.Bucket, retryAfter time.Duration) {
	t.Helper()
	if err := b.Throttled(t.Context(), retryAfter); err != nil {
		t.Fatal(err)
	}
}

// twoProcesses are busy at 100/s until the test's end, which is when body returns.
func twoProcesses(t *testing.T, body func(t *testing.T, here, there *ratelimit.Bucket, mine, theirs *grants)) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		here, there := process(t, m, ratelimit.Limit{Rate: 100}), process(t, m, ratelimit.Limit{Rate: 100})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mine, theirs grants
		busy(ctx, &wg, here, 16, &mine)
		busy(ctx, &wg, there, 16, &theirs)
		time.Sleep(5 * time.Second)
		body(t, here, there, &mine, &theirs)
		cancel()
		wg.Wait()
	})
}

func TestASeriesOfThrottledAnswersSlowsEveryProcessDown(t *testing.T) {
	twoProcesses(t, func(t *testing.T, here, there *ratelimit.Bucket, mine, theirs *grants) {
		for range 40 { // of some fifty calls
			throttled(t, here, 0)
			time.Sleep(10 * time.Millisecond)
		}
		low := here.Rate()
		if low > 75 {
			t.Errorf("the rate is %v after 40 throttled answers in 0.4 s, want it down by about them", low)
		}
		s := state(t, there)
		if s.Rate < low || s.Rate > low+1 || s.Ceiling != 100 || time.Since(s.ThrottledAt) > 20*time.Millisecond {
			t.Errorf("the other process sees %+v, want a rate of %v, a ceiling of 100, throttled just now", s, low)
		}
		time.Sleep(time.Second) // the moment's pause is over
		from := time.Now()
		time.Sleep(time.Second)
		if n := mine.within(from, time.Now()) + theirs.within(from, time.Now()); n > int(low)+5 {
			t.Errorf("%d grants in a second of both processes, want about %v", n, low)
		}
		if got := there.Rate(); got < low || got > low+10 {
			t.Errorf("the other process has seen a rate of %v, want about %v", got, low)
		}
	})
}

func TestTheRateClimbsSlowlyAtFirstAndThenToTheCeiling(t *testing.T) {
	twoProcesses(t, func(t *testing.T, here, there *ratelimit.Bucket, _, _ *grants) {
		for range 200 {
			throttled(t, here, 0)
			time.Sleep(10 * time.Millisecond)
		}
		low, before := here.Rate(), 0.0
		for i := range 50 {
			r := state(t, there).Rate
			if r < before || r > 100 {
				t.Fatalf("the rate went from %v to %v", before, r)
			}
			if i == 5 && r > low+1 {
				t.Errorf("half a second later the rate is %v, want it near %v", r, low)
			}
			before = r
			time.Sleep(100 * time.Millisecond)
		}
		if before != 100 {
			t.Errorf("five seconds after the last throttled answer the rate is %v, want the ceiling", before)
		}
	})
}

func TestOneThrottledAnswerAmongHundredsCostsNextToNothing(t *testing.T) {
	twoProcesses(t, func(t *testing.T, here, _ *ratelimit.Bucket, mine, theirs *grants) {
		from := time.Now()
		throttled(t, here, 0)
		if r := here.Rate(); r < 98 {
			t.Errorf("the rate is %v after a single throttled answer, want at least 98", r)
		}
		time.Sleep(20 * time.Second)
		if n := mine.within(from, time.Now()) + theirs.within(from, time.Now()); n < 1985 {
			t.Errorf("%d grants in the 20 s after it, want 2000 less some", n)
		}
	})
}

func TestCallsUnderWaySayNothingNew(t *testing.T) {
	twoProcesses(t, func(t *testing.T, here, _ *ratelimit.Bucket, _, _ *grants) {
		for range 7 { // all that were under way for 70 ms
			throttled(t, here, 0)
			time.Sleep(10 * time.Millisecond)
		}
		if r := here.Rate(); r < 90 {
			t.Errorf("the rate is %v after seven of a hundred calls a second, want about 92", r)
		}
	})
}

func TestNothingThatGoesThroughLeavesAHundredthOfTheCeiling(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 1000})
		wait(t, b)
		for range 100 {
			throttled(t, b, 0)
		}
		if r := b.Rate(); r != 10 {
			t.Errorf("the rate is %v, want 10", r)
		}
	})
}

func TestARetryAfterHoldsEveryProcess(t *testing.T) {
	twoProcesses(t, func(t *testing.T, here, there *ratelimit.Bucket, mine, theirs *grants) {
		const horizon, second = 200 * time.Millisecond, time.Second
		start := time.Now()
		throttled(t, here, 3*second)
		throttled(t, there, second) // must not shorten it
		end := start.Add(3 * second)
		if s := state(t, there); !s.BlockedUntil.Equal(end) || !s.Next.Equal(end) {
			t.Errorf("state %+v, want it blocked until %v", s, end)
		}
		time.Sleep(4 * second)
		if n := mine.within(start.Add(1), end); n > 0 {
			t.Errorf("%d grants before that in the process that was told", n)
		}
		if n := theirs.within(start.Add(horizon), end); n > 0 {
			t.Errorf("%d grants before that in the other process, later than the horizon", n)
		}
		if n := mine.within(end, end.Add(second)) + theirs.within(end, end.Add(second)); n < 90 || n > 101 {
			t.Errorf("%d grants in the second after it, want nearly 100: no burst, no rest", n)
		}
	})
}

func TestARetryAfterThatMakesNoSenseHoldsForAMinute(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 10})
		throttled(t, b, 24*time.Hour)
		s := state(t, b)
		if d := s.BlockedUntil.Sub(s.ThrottledAt); d != time.Minute {
			t.Errorf("blocked for %v, want a minute", d)
		}
		throttled(t, b, -time.Hour)
	})
}

func TestARetryAfterHoldsThisProcessEvenWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := redistest.Mini(t)
		b := ratelimit.New(c, patient).Bucket(key, ratelimit.Limit{Rate: 100})
		wait(t, b)
		m.SetError("LOADING Redis is loading the dataset in memory")
		start := time.Now()
		if err := b.Throttled(t.Context(), 5*time.Second); err == nil {
			t.Error("Throttled without Redis: no error")
		}
		m.SetError("")
		wait(t, b)
		if d := time.Since(start); d < 5*time.Second {
			t.Errorf("the next slot came after %v, want what the API asked for", d)
		}
	})
}

func TestAFewInARowHoldEverybodyForAMoment(t *testing.T) {
	twoProcesses(t, func(t *testing.T, here, there *ratelimit.Bucket, _, _ *grants) {
		throttled(t, here, 0)
		if s := state(t, there); !s.BlockedUntil.IsZero() {
			t.Errorf("blocked until %v by a single answer", s.BlockedUntil)
		}
		longest := time.Duration(0)
		for range 30 {
			throttled(t, here, 0)
			s := state(t, there)
			longest = max(longest, s.BlockedUntil.Sub(s.Now))
		}
		if longest != 250*time.Millisecond {
			t.Errorf("30 in a row blocked for %v, want 250 ms", longest)
		}
	})
}
