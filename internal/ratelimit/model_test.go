package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redistest"
)

// model is the bucket's arithmetic in Go: what reserve.lua, pause.lua and
// release.lua should do, in microseconds.
type model struct {
	known         bool
	last, blocked int64
	rate          float64
}

func (m *model) reserve(now int64, limit Limit, want int, horizon time.Duration) reservation {
	interval, ahead := limit.interval().Microseconds(), horizon.Microseconds()
	last := now
	if m.known {
		last = min(m.last, now+ahead)
	}
	start := max(last+interval, now-int64(limit.burst()-1)*interval, m.blocked)
	r := reservation{now: now, wait: micros(start - now), blocked: m.blocked, rate: m.rate}

	for r.booked < want && start+int64(r.booked)*interval <= now+ahead {
		last = start + int64(r.booked)*interval
		r.booked++
	}
	if r.booked == 0 {
		first := start - ahead // when the first slot comes within the horizon
		r.again = micros(first - now)
		for n := int64(1); n < int64(want) && n*interval <= ahead/2; n++ {
			r.again = micros(first + n*interval - now)
		}
	}
	if r.booked > 0 || !m.known && want > 0 {
		m.known, m.last, m.rate = true, last, limit.Rate
	}
	r.last = fmt.Sprint(last)
	return r
}

func (m *model) release(last string, n int, interval time.Duration) {
	if m.known && fmt.Sprint(m.last) == last {
		m.last -= int64(n) * interval.Microseconds()
	}
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// Redis's clock cannot be set, so the model is given the time that the script saw.
func TestScriptsDoWhatTheModelDoes(t *testing.T) {
	limits := []Limit{
		{Rate: 5}, {Rate: 5, Burst: 4}, {Rate: 0.3}, {Rate: 700, Burst: 3}, {Rate: 2500}, {Rate: 1e6, Burst: 50}, {Rate: 1e-6},
	}
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx := t.Context()
		l := New(c, Config{})
		for seed := range uint64(40) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			key := fmt.Sprintf("camsq:{a%d}:limit:x", seed)
			limit := limits[rnd.IntN(len(limits))]
			var m model
			var before reservation
			for i := range 40 {
				switch rnd.IntN(12) {
				case 0:
					limit = limits[rnd.IntN(len(limits))]
				case 1:
					d := time.Duration(rnd.Int64N(int64(20 * time.Millisecond)))
					if err := l.pause(ctx, key, limit, d); err != nil {
						t.Fatal(err)
					}
					// The pause's own time is not told; look for it.
					blocked, err := c.HGet(ctx, key, "blocked").Int64()
					if err != nil || blocked < m.blocked {
						t.Fatalf("seed %d step %d: blocked %d, %v; was %d", seed, i, blocked, err, m.blocked)
					}
					m.blocked = blocked
				case 2:
					if before.booked > 0 {
						n := 1 + rnd.IntN(before.booked)
						l.release(ctx, key, before.last, n, limit.interval())
						m.release(before.last, n, limit.interval())
					}
				case 3:
					if err := c.Del(ctx, key).Err(); err != nil {
						t.Fatal(err)
					}
					m = model{}
				}
				want := rnd.IntN(30)
				got, err := l.reserve(ctx, key, limit, want)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(m.reserve(got.now, limit, want, l.horizon), got, cmp.AllowUnexported(reservation{})); diff != "" {
					t.Fatalf("seed %d step %d, limit %+v, want %d (-model +script):\n%s", seed, i, limit, want, diff)
				}
				before = got
			}
		}
	})
}

func TestAClockThatWentBackHoldsUpNobody(t *testing.T) {
	m, c := redistest.Mini(t)
	l := New(c, Config{})
	limit := Limit{Rate: 100}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.SetTime(at)
	for range 2 {
		if _, err := l.reserve(t.Context(), "k", limit, 1); err != nil {
			t.Fatal(err)
		}
	}
	m.SetTime(at.Add(-time.Hour))
	r, err := l.reserve(t.Context(), "k", limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := l.horizon + limit.interval(); r.wait > want {
		t.Errorf("the next slot is %v away, want at most %v", r.wait, want)
	}
}

func TestABucketOutlivesItsSlotsAndPauses(t *testing.T) {
	ctx := context.Background()
	_, c := redistest.Mini(t)
	l := New(c, Config{Keep: time.Minute})
	limit := Limit{Rate: 0.001, Burst: 2} // 1000 s an interval
	if err := l.pause(ctx, "k", limit, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := l.reserve(ctx, "k", limit, 1); err != nil {
		t.Fatal(err)
	}
	want := time.Hour + time.Minute + 2000*time.Second
	if ttl := c.PTTL(ctx, "k").Val(); ttl > want || ttl < want-time.Minute {
		t.Errorf("the bucket is kept %v, want %v", ttl, want)
	}
}

func TestSlotsThatAStoppedProcessComesBackToAreNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		b := New(c, Config{}).Bucket("k", Limit{Rate: 10})
		// As after SIGSTOP: booked, and their time went by.
		for d := time.Second; d >= 300*time.Millisecond; d -= 100 * time.Millisecond {
			b.slots = append(b.slots, time.Now().Add(-d))
		}
		for range 3 {
			waited, err := b.Wait(t.Context())
			if err != nil || waited != 100*time.Millisecond {
				t.Errorf("waited %v, %v; want an interval of 100 ms", waited, err)
			}
		}
	})
}

func TestLimitValidateNamesWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		limit Limit
		want  string
	}{
		{"good", Limit{Rate: 5, Burst: 3}, ""},
		{"burst by default", Limit{Rate: 0.1}, ""},
		{"zero", Limit{}, "ratelimit: rate 0 is not from 0.000001 to 1000000 a second"},
		{"negative", Limit{Rate: -1}, "ratelimit: rate -1 is not from 0.000001 to 1000000 a second"},
		{"no number", Limit{Rate: nan()}, "ratelimit: rate NaN is not from 0.000001 to 1000000 a second"},
		{"too fast", Limit{Rate: 2e6}, "ratelimit: rate 2e+06 is not from 0.000001 to 1000000 a second"},
		{"negative burst", Limit{Rate: 1, Burst: -1}, "ratelimit: burst -1 is not from 0 to 1000000"},
		{"burst beyond reason", Limit{Rate: 1e-6, Burst: 1e6}, "ratelimit: it takes more than a year to earn the burst"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.limit.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func nan() float64 {
	var zero float64
	return zero / zero
}
