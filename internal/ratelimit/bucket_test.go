package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/redistest"
)

const key = "camsq:{provision:default}:limit:CreateInstance"

// patient holds callers as long as it takes.
var patient = ratelimit.Config{MaxWait: time.Hour}

// process returns the bucket as one more process sees it, which is patient.
func process(t testing.TB, m *miniredis.Miniredis, limit ratelimit.Limit) *ratelimit.Bucket {
	return ratelimit.New(redistest.MiniClient(t, m), patient).Bucket(key, limit)
}

// grants collects the moments at which waits ended.
type grants struct {
	mu sync.Mutex
	at []time.Time
}

func (g *grants) add() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = append(g.at, time.Now())
}

// most returns the highest number of grants in any window.
func (g *grants) most(window time.Duration) int {
	slices.SortFunc(g.at, time.Time.Compare)
	most, first := 0, 0
	for i, at := range g.at {
		for at.Sub(g.at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func wait(t *testing.T, b *ratelimit.Bucket) time.Duration {
	t.Helper()
	waited, err := b.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return waited
}

func TestNoSecondHasMoreGrantsThanRateAndBurst(t *testing.T) {
	tests := []struct {
		limit     ratelimit.Limit
		processes int
		throttles bool // the rate adapts meanwhile
	}{
		{ratelimit.Limit{Rate: 5}, 1, false},
		{ratelimit.Limit{Rate: 5}, 4, false},
		{ratelimit.Limit{Rate: 3.3, Burst: 3}, 2, false},
		{ratelimit.Limit{Rate: 50, Burst: 10}, 3, false},
		{ratelimit.Limit{Rate: 200}, 4, false},
		{ratelimit.Limit{Rate: 5}, 2, true},
		{ratelimit.Limit{Rate: 50, Burst: 10}, 3, true},
		{ratelimit.Limit{Rate: 200}, 4, true},
	}
	for _, tt := range tests {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%v/%d processes/throttled %v/seed %d", tt.limit, tt.processes, tt.throttles, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const span = 20 * time.Second
					var g grants
					m, _ := redistest.Mini(t)
					ctx, cancel := context.WithTimeout(t.Context(), span)
					defer cancel()
					var wg sync.WaitGroup
					for p := range tt.processes {
						b := process(t, m, tt.limit)
						for w := range 8 {
							rnd := rand.New(rand.NewPCG(seed, uint64(100*p+w)))
							wg.Go(func() { caller(ctx, t, b, rnd, tt.throttles, g.add) })
						}
					}
					wg.Wait()
					allowed := int(tt.limit.Rate) + max(tt.limit.Burst, 1)
					if n := g.most(time.Second); n > allowed {
						t.Errorf("%d grants in one second, want at most %d", n, allowed)
					}
					if len(g.at) < int(span.Seconds()) {
						t.Errorf("%d grants in %v: nothing was tested", len(g.at), span)
					}
				})
			})
		}
	}
}

// caller uses the bucket until ctx ends: in a hurry, now and then impatient,
// now and then urgent, now and then away long enough for a burst to be earned; and
// throttled now and then, a few times in a row, if it is to be.
func caller(ctx context.Context, t *testing.T, b *ratelimit.Bucket, rnd *rand.Rand, throttles bool, grant func()) {
	for ctx.Err() == nil {
		one, cancel := ctx, context.CancelFunc(func() {})
		if rnd.IntN(10) == 0 {
			one, cancel = context.WithTimeout(ctx, upTo(rnd, 300*time.Millisecond))
		}
		wait := b.Wait
		if rnd.IntN(10) == 0 {
			wait = b.WaitUrgent
		}
		_, err := wait(one)
		switch {
		case err == nil:
			grant()
		case one.Err() == nil:
			t.Error(err)
			cancel()
			return
		}
		cancel()
		for throttles && rnd.IntN(8) == 0 {
			if err := b.Throttled(ctx, max(0, upTo(rnd, 2*time.Second)-time.Second)/4); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
		switch rnd.IntN(8) {
		case 0:
			time.Sleep(upTo(rnd, 3*time.Second))
		case 1, 2:
			time.Sleep(upTo(rnd, 50*time.Millisecond))
		}
	}
}

func upTo(rnd *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(d)))
}

func TestBusyProcessesUseTheWholeQuota(t *testing.T) {
	for _, tt := range []struct {
		rate      float64
		processes int
	}{{5, 1}, {5, 4}, {100, 1}, {100, 4}} {
		t.Run(fmt.Sprintf("%v a second/%d processes", tt.rate, tt.processes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const span = 30 * time.Second
				var g grants
				m, _ := redistest.Mini(t)
				ctx, cancel := context.WithTimeout(t.Context(), span)
				defer cancel()
				var wg sync.WaitGroup
				for range tt.processes {
					b := process(t, m, ratelimit.Limit{Rate: tt.rate})
					for range 30 {
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
				wg.Wait()
				if got, want := len(g.at), int(0.98*tt.rate*span.Seconds()); got < want {
					t.Errorf("%d grants in %v, want at least %d", got, span, want)
				}
			})
		})
	}
}

func TestAProcessServesItsWaitersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		b := process(t, m, ratelimit.Limit{Rate: 20})
		var mu sync.Mutex
		var got, want []int
		var wg sync.WaitGroup
		for i := range 50 {
			want = append(want, i)
			wg.Go(func() {
				wait(t, b)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, i)
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order (-came +went):\n%s", diff)
		}
	})
}

func TestAWaiterThatGivesUpLeavesItsSlotToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := redistest.Mini(t)
		b := process(t, m, ratelimit.Limit{Rate: 5})
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error)
		go func() {
			_, err := b.Wait(ctx)
			gaveUp <- err
		}()
		time.Sleep(50 * time.Millisecond) // it has booked the slot at 200 ms
		waited := make(chan time.Duration)
		go func() { waited <- wait(t, b) }()
		time.Sleep(50 * time.Millisecond)
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that gave up: %v, want context.Canceled", err)
		}
		if d := <-waited; d != 150*time.Millisecond {
			t.Errorf("the next one waited %v, want 150 ms: until the other's slot", d)
		}
	})
}

func TestTheLastWaiterGivesItsSlotBackToRedis(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		b := ratelimit.New(c, ratelimit.Config{Horizon: time.Hour}).Bucket(key, ratelimit.Limit{Rate: 0.01})
		before := state(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Wait: %v, want the deadline's error", err)
		}
		after := state(t, b)
		// A used slot would put the next one 100 s further away.
		if d := after.Next.Sub(before.Next); d > 10*time.Second {
			t.Errorf("the next slot moved by %v: the one given up is lost", d)
		}
		if after.Ceiling != 0.01 || after.Rate != 0.01 {
			t.Errorf("ceiling %v, rate %v, want 0.01", after.Ceiling, after.Rate)
		}
	})
}

func state(t *testing.T, b *ratelimit.Bucket) ratelimit.State {
	t.Helper()
	s, err := b.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatTheAPIAsksForHoldsEveryProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const horizon = 200 * time.Millisecond
		m, _ := redistest.Mini(t)
		limit := ratelimit.Limit{Rate: 50, Burst: 20}
		here, there := process(t, m, limit), process(t, m, limit)
		var mine, theirs grants
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		run := func(b *ratelimit.Bucket, g *grants) {
			for range 4 {
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
		run(here, &mine)
		run(there, &theirs)
		time.Sleep(2 * time.Second)

		paused := time.Now()
		if err := here.Throttled(ctx, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := there.Throttled(ctx, time.Second); err != nil { // must not shorten it
			t.Fatal(err)
		}
		end := paused.Add(10 * time.Second)
		if s := state(t, there); !s.BlockedUntil.Equal(end) || !s.Next.Equal(end) {
			t.Errorf("state %+v, want it blocked until %v", s, end)
		}
		time.Sleep(12 * time.Second)
		cancel()
		wg.Wait()

		within := func(g *grants, from, to time.Time) (n int) {
			for _, at := range g.at {
				if at.After(from) && at.Before(to) {
					n++
				}
			}
			return n
		}
		if n := within(&mine, paused, end); n > 0 {
			t.Errorf("%d grants in the pausing process during the pause", n)
		}
		if n := within(&theirs, paused.Add(horizon), end); n > 0 {
			t.Errorf("%d grants in the other process later than the horizon", n)
		}
		after := within(&mine, end.Add(-1), end.Add(time.Second)) + within(&theirs, end.Add(-1), end.Add(time.Second))
		if after < 45 || after > 51 {
			t.Errorf("%d grants in the second after the pause, want about 50: no burst, no rest", after)
		}
	})
}

func TestWhatTheAPIAsksForHoldsThisProcessEvenWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := redistest.Mini(t)
		b := ratelimit.New(c, patient).Bucket(key, ratelimit.Limit{Rate: 100})
		wait(t, b)
		m.SetError("LOADING Redis is loading the dataset in memory")
		if err := b.Throttled(t.Context(), 5*time.Second); err == nil {
			t.Error("Throttled without Redis: no error")
		}
		m.SetError("")
		if d := wait(t, b); d < 4*time.Second {
			t.Errorf("waited %v, want the pause to its end", d)
		}
	})
}

func TestALostBucketGivesNoBurst(t *testing.T) {
	losses := map[string]func(*testing.T, *redis.Client){
		"evicted": func(t *testing.T, c *redis.Client) { c.Del(t.Context(), key) },
		"emptied": func(t *testing.T, c *redis.Client) { c.FlushAll(t.Context()) },
		"idle for hours": func(t *testing.T, c *redis.Client) {
			time.Sleep(3 * time.Hour)
			if n := c.Exists(t.Context(), key).Val(); n != 0 {
				t.Error("the key is still there")
			}
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, c := redistest.Mini(t)
				b := process(t, m, ratelimit.Limit{Rate: 10, Burst: 5})
				wait(t, b)
				time.Sleep(time.Minute)
				for i := range 5 { // the burst was earned
					if d := wait(t, b); d != 0 {
						t.Errorf("wait %d of the burst took %v", i+1, d)
					}
				}
				time.Sleep(time.Minute)
				lose(t, c)
				for i := range 5 {
					if d := wait(t, b); d != 100*time.Millisecond {
						t.Errorf("wait %d after the loss took %v, want an interval of 100 ms", i+1, d)
					}
				}
			})
		})
	}
}

func TestANewRateHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := ratelimit.New(c, ratelimit.Config{})
		b := l.Bucket(key, ratelimit.Limit{Rate: 0.01}) // 100 s
		waited := make(chan time.Duration)
		go func() { waited <- wait(t, b) }()
		time.Sleep(time.Second)
		if l.Bucket(key, ratelimit.Limit{Rate: 0.1}) != b {
			t.Error("another bucket for the same key")
		}
		if d := <-waited; d != 10*time.Second {
			t.Errorf("waited %v, want the new interval of 10 s", d)
		}
		l.Bucket(key, ratelimit.Limit{Rate: 1})
		if d := wait(t, b); d != time.Second {
			t.Errorf("waited %v, want 1 s", d)
		}
	})
}

func TestAnErrorReachesAllThatWaitAndTheNextWaitWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := redistest.Mini(t)
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 1})
		errs := make(chan error)
		for range 10 {
			go func() {
				_, err := b.Wait(t.Context())
				errs <- err
			}()
		}
		time.Sleep(100 * time.Millisecond)
		m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
		start := time.Now()
		for range 10 {
			if err := <-errs; err == nil || !redis.IsOOMError(err) {
				t.Errorf("Wait: %v, want Redis's OOM", err)
			}
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("it took %v to tell all", d)
		}
		m.SetError("")
		wait(t, b)
	})
}

func TestWaitSurvivesAFlushedScriptCache(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 1000})
		for range 3 {
			wait(t, b)
			if err := c.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := b.Throttled(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		wait(t, b)
		if d := time.Since(start); d < 20*time.Millisecond {
			t.Errorf("the next slot came after %v, want the pause of 20 ms", d)
		}
	})
}

func TestGrantsAreAnIntervalApartInRealTime(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		const n, rate = 100, 200
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: rate})
		start := time.Now()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() { wait(t, b) })
		}
		wg.Wait()
		if took, want := time.Since(start), time.Duration(n)*time.Second/rate; took < want {
			t.Errorf("%d grants took %v, want at least %v", n, took, want)
		}
	})
}

func TestWaitEndsWithItsContextThoughRedisIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := redis.NewClient(&redis.Options{
			Addr:   "127.0.0.1:6379", // a name would be looked up on the real network
			Dialer: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("gone") },
		})
		b := ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if waited, err := b.Wait(ctx); err == nil || waited > time.Second {
			t.Errorf("waited %v: %v", waited, err)
		}
		c.Close()
		time.Sleep(2 * time.Second) // the pool's dialer looks once a second whether it was closed
	})
}

func TestMisuseIsToldAtOnce(t *testing.T) {
	_, c := redistest.Mini(t)
	for name, f := range map[string]func(){
		"horizon": func() { ratelimit.New(c, ratelimit.Config{Horizon: -1}) },
		"wait":    func() { ratelimit.New(c, ratelimit.Config{MaxWait: -1}) },
		"limit":   func() { ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{}) },
		"rate":    func() { ratelimit.New(c, ratelimit.Config{}).Bucket(key, ratelimit.Limit{Rate: 1}).SetRate(-1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
