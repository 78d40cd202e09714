package ratelimit

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed reserve.lua
	reserveSource string
	//go:embed pause.lua
	pauseSource string
	//go:embed release.lua
	releaseSource string

	reserveScript = redis.NewScript(reserveSource)
	pauseScript   = redis.NewScript(pauseSource)
	releaseScript = redis.NewScript(releaseSource)
)

// reservation is reserve.lua's answer.
type reservation struct {
	booked  int
	wait    time.Duration // to the first slot; below 0 when a burst is earned
	again   time.Duration // when nothing was booked: until it is worth asking
	now     int64         // µs since 1970
	last    string        // µs since 1970, as Redis holds it
	blocked int64         // µs since 1970; 0 if never
	rate    float64       // of the booking before; 0 if there was none
}

func (l *Limiter) reserve(ctx context.Context, key string, limit Limit, want int) (reservation, error) {
	answer, err := reserveScript.Run(ctx, l.redis, []string{key},
		limit.interval().Microseconds(), limit.burst(), want, l.horizon.Microseconds(),
		l.keepFor(limit), strconv.FormatFloat(limit.Rate, 'g', -1, 64)).Slice()
	if err != nil {
		return reservation{}, err
	}
	return parse(answer)
}

func (l *Limiter) pause(ctx context.Context, key string, limit Limit, d time.Duration) error {
	return pauseScript.Run(ctx, l.redis, []string{key}, d.Microseconds(), l.keepFor(limit)).Err()
}

// release is best effort: a slot that does not come back is wasted, no more.
func (l *Limiter) release(ctx context.Context, key, last string, n int, interval time.Duration) {
	_ = releaseScript.Run(ctx, l.redis, []string{key}, last, n, interval.Microseconds()).Err()
}

// keepFor returns milliseconds. A bucket that vanished before its next slot
// would count as just used, each time anew.
func (l *Limiter) keepFor(limit Limit) int64 {
	return (l.keep + limit.span()).Milliseconds()
}

func parse(answer []any) (reservation, error) {
	var r reservation
	if len(answer) != 7 {
		return r, errors.New("the script's answer has not 7 parts")
	}
	n := func(i int) int64 {
		v, _ := answer[i].(int64)
		return v
	}
	s := func(i int) string {
		v, _ := answer[i].(string)
		return v
	}
	r.booked = int(n(0))
	r.wait = time.Duration(n(1)) * time.Microsecond
	r.again = time.Duration(n(2)) * time.Microsecond
	r.last = s(4)
	var errNow, errBlocked error
	r.now, errNow = strconv.ParseInt(s(3), 10, 64)
	r.blocked, errBlocked = strconv.ParseInt(s(5), 10, 64)
	r.rate, _ = strconv.ParseFloat(s(6), 64) // "" is 0
	return r, errors.Join(errNow, errBlocked)
}
