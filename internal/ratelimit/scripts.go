package ratelimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed bucket.lua
	bucketSource string
	//go:embed reserve.lua
	reserveSource string
	//go:embed throttled.lua
	throttledSource string
	//go:embed release.lua
	releaseSource string

	reserveScript   = redis.NewScript(bucketSource + reserveSource)
	throttledScript = redis.NewScript(bucketSource + throttledSource)
	releaseScript   = redis.NewScript(bucketSource + releaseSource)
)

// reservation is reserve.lua's answer.
type reservation struct {
	booked   int
	wait     time.Duration // to the first slot; below 0 when a burst is earned
	again    time.Duration // when nothing was booked: until it is worth asking
	interval time.Duration // between the booked slots

	now     int64   // µs since 1970
	last    int64   // µs since 1970: the last slot booked by any process
	blocked int64   // µs since 1970; 0 if never
	lowered int64   // µs since 1970; 0 if never or long ago
	rate    float64 // in force
	ceiling float64 // of the booking before; 0 if there was none
}

func (l *Limiter) reserve(ctx context.Context, key string, limit Limit, want int) (reservation, error) {
	a, err := l.run(ctx, reserveScript, 10, key, limit, want, l.horizon.Microseconds())
	if err != nil {
		return reservation{}, err
	}
	r := reservation{
		booked: int(a.integer(0)), wait: micros(a.integer(1)), again: micros(a.integer(2)), interval: micros(a.integer(3)),
		now: a.integer(4), last: a.integer(5), blocked: a.integer(6), lowered: a.integer(7),
		rate: a.number(8), ceiling: a.number(9),
	}
	return r, a.err
}

// slowdown is what throttled.lua answers.
type slowdown struct {
	now, blocked int64   // µs since 1970
	rate         float64 // in force
}

func (l *Limiter) throttled(ctx context.Context, key string, limit Limit, retryAfter time.Duration) (slowdown, error) {
	a, err := l.run(ctx, throttledScript, 3, key, limit, retryAfter.Microseconds())
	if err != nil {
		return slowdown{}, err
	}
	s := slowdown{now: a.integer(0), blocked: a.integer(1), rate: a.number(2)}
	return s, a.err
}

// release gives back the n slots up to last, and returns when, and whether no process
// had booked since. A slot that does not come back is wasted, no more.
func (l *Limiter) release(ctx context.Context, key string, limit Limit, last int64, n int, interval time.Duration) (now int64, done bool, err error) {
	a, err := l.run(ctx, releaseScript, 2, key, limit, last, n, interval.Microseconds())
	if err != nil {
		return 0, false, err
	}
	return a.integer(0), a.integer(1) == 1, a.err
}

// run calls a script with the arguments that all have in common and some of its own.
func (l *Limiter) run(ctx context.Context, s *redis.Script, parts int, key string, limit Limit, args ...any) (*answer, error) {
	ceiling := strconv.FormatFloat(limit.Rate, 'f', -1, 64)
	all := append([]any{ceiling, limit.burst(), l.keep.Milliseconds()}, args...)
	got, err := s.Run(ctx, l.redis, []string{key}, all...).Slice()
	if err != nil {
		return nil, err
	}
	if len(got) != parts {
		return nil, fmt.Errorf("the script's answer has %d parts and not %d", len(got), parts)
	}
	return &answer{parts: got}, nil
}

// answer is what a script returned. The first part that is not a number is its err.
type answer struct {
	parts []any
	err   error
}

func (a *answer) integer(i int) int64 {
	switch v := a.parts[i].(type) {
	case int64:
		return v
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		a.err = errors.Join(a.err, err)
		return n
	}
	a.err = errors.Join(a.err, fmt.Errorf("part %d of the script's answer is %T", i, a.parts[i]))
	return 0
}

func (a *answer) number(i int) float64 {
	s, _ := a.parts[i].(string)
	f, err := strconv.ParseFloat(s, 64)
	a.err = errors.Join(a.err, err)
	return f
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }
