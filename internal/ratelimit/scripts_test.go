package ratelimit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redistest"
)

var limits = []Limit{
	{Rate: 5}, {Rate: 5, Burst: 4}, {Rate: 0.3}, {Rate: 700, Burst: 3}, {Rate: 2500}, {Rate: 1e6, Burst: 50}, {Rate: 1e-6}, {Rate: 33.3},
}

// twins are a bucket in Redis and the model of it.
type twins struct {
	t      *testing.T
	redis  redis.UniversalClient
	l      *Limiter
	key    string
	limit  Limit
	model  model
	before reservation
}

// step does to both what four bytes say, and fails if they differ. The model is
// given the time that the script saw.
func (w *twins) step(what [4]byte) {
	w.t.Helper()
	ctx := w.t.Context()
	arg := int(what[1])
	var got, want any
	var err error
	switch what[0] % 16 {
	default:
		var r reservation
		r, err = w.l.reserve(ctx, w.key, w.limit, arg%30)
		got, want = r, w.model.reserve(r.now, w.limit, arg%30, w.l.horizon)
		w.before = r
	case 10, 11, 12, 13:
		var s slowdown
		d := time.Duration(max(0, arg-128)) * 2 * time.Millisecond
		s, err = w.l.throttled(ctx, w.key, w.limit, d)
		got, want = s, w.model.throttled(s.now, w.limit, d)
	case 14:
		n := 1 + arg%max(w.before.booked, 1)
		var now int64
		now, got, err = w.l.release(ctx, w.key, w.limit, w.before.last, n, w.before.interval)
		want = w.model.release(now, w.before.last, n, w.before.interval)
	case 15:
		if arg < 200 {
			w.limit = limits[arg%len(limits)]
			return
		}
		err = w.redis.Del(ctx, w.key).Err()
		w.model.fields = fields{}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(reservation{}, slowdown{})); diff != "" {
		w.t.Fatalf("step %v, limit %+v (-model +script):\n%s", what, w.limit, diff)
	}
}

func TestScriptsDoWhatTheModelDoes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for seed := range uint64(60) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := twins{
				t: t, redis: c, l: New(c, Config{}), key: fmt.Sprintf("camsq:{a%d}:limit:x", seed),
				limit: limits[rnd.IntN(len(limits))], model: model{tuning: chosen},
			}
			for range 80 {
				var what [4]byte
				binary.LittleEndian.PutUint32(what[:], rnd.Uint32())
				w.step(what)
			}
		}
	})
}

// FuzzScriptsDoWhatTheModelDoes moves the clock too, which a real Redis would not
// let it: by up to 8 s forwards, and now and then back.
func FuzzScriptsDoWhatTheModelDoes(f *testing.F) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		schedule := make([]byte, 400)
		for i := range schedule {
			schedule[i] = byte(rnd.Uint32())
		}
		f.Add(schedule)
	}
	f.Fuzz(func(t *testing.T, schedule []byte) {
		m, c := redistest.Mini(t)
		w := twins{t: t, redis: c, l: New(c, Config{}), key: "k", limit: limits[0], model: model{tuning: chosen}}
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for len(schedule) >= 4 {
			what := [4]byte(schedule)
			schedule = schedule[4:]
			d := time.Duration(what[2]) * time.Duration(what[2]) * time.Duration(what[3]) * time.Microsecond / 2
			if what[3]%32 == 0 {
				d = -time.Duration(what[2]) * time.Duration(what[2]) * time.Millisecond
			}
			at = at.Add(d)
			m.SetTime(at)
			w.step(what)
		}
	})
}

func TestAClockThatWentBackHoldsUpNobody(t *testing.T) {
	m, c := redistest.Mini(t)
	ctx, l, limit := t.Context(), New(c, Config{}), Limit{Rate: 100}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m.SetTime(at)
	if _, err := l.reserve(ctx, "k", limit, 20); err != nil {
		t.Fatal(err)
	}
	if _, err := l.throttled(ctx, "k", limit, 3*time.Second); err != nil {
		t.Fatal(err)
	}

	at = at.Add(-time.Hour)
	m.SetTime(at)
	r, err := l.reserve(ctx, "k", limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.wait != 3*time.Second {
		t.Errorf("the next slot is %v away, want the 3 s that the API asked for", r.wait)
	}
	if _, err := l.throttled(ctx, "k", limit, time.Second); err != nil { // any that writes
		t.Fatal(err)
	}

	m.SetTime(at.Add(time.Minute))
	if r, err = l.reserve(ctx, "k", limit, 1); err != nil {
		t.Fatal(err)
	}
	if r.wait != 0 || r.rate != limit.Rate {
		t.Errorf("a minute later the next slot is %v away at a rate of %v; want 0, and the ceiling", r.wait, r.rate)
	}
}

func TestABucketOutlivesItsSlotsAndPauses(t *testing.T) {
	ctx := t.Context()
	_, c := redistest.Mini(t)
	l := New(c, Config{Keep: time.Minute})
	limit := Limit{Rate: 0.001, Burst: 2} // 1000 s an interval
	kept := func(want time.Duration) {
		t.Helper()
		if ttl := c.PTTL(ctx, "k").Val(); ttl > want || ttl < want-time.Minute {
			t.Errorf("the bucket is kept %v, want %v", ttl, want)
		}
	}
	// At half the rate the burst takes twice as long.
	if _, err := l.throttled(ctx, "k", limit, time.Hour); err != nil {
		t.Fatal(err)
	}
	kept(time.Hour + time.Minute + 4000*time.Second)
	if _, err := l.reserve(ctx, "k", limit, 1); err != nil {
		t.Fatal(err)
	}
	kept(time.Hour + time.Minute + 4000*time.Second)
}
