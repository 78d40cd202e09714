package ratelimit

import (
	"math"
	"slices"
	"time"
)

// otherRule is a bucket with a rule that was not chosen. All processes lower the
// rate together, once for the calls that are under way, and keep to a retry-after.
type otherRule struct {
	model
	lower func(rate, good float64) float64 // good went well in the last second
	raise func(since float64) float64      // by that part of the ceiling, after so many seconds
	cubic bool                             // raise as TCP's CUBIC does, in 4 s to the rate it had

	level, had float64
	at         int64 // when it was lowered
	sent, lost []int64
}

func (o *otherRule) inForce(now int64, ceiling float64) float64 {
	since := float64(now-o.at) / 1e6
	switch {
	case o.at == 0:
		return ceiling
	case o.cubic:
		x := since/4 - 1
		return min(o.had+(o.had-o.level)*x*x*x, ceiling)
	case o.raise == nil:
		return o.level
	}
	return min(o.level+o.raise(since)*ceiling, ceiling)
}

func (o *otherRule) reserve(now int64, limit Limit, want int, horizon time.Duration) reservation {
	limit.Rate = o.inForce(now, limit.Rate)
	r := o.model.reserve(now, limit, want, horizon)
	for i := range r.booked {
		o.sent = append(o.sent, now+(r.wait+time.Duration(i)*r.interval).Microseconds())
	}
	return r
}

func (o *otherRule) throttled(now int64, limit Limit, retryAfter time.Duration) slowdown {
	o.lost = append(o.lost, now)
	early := func(t int64) bool { return t <= now-1e6 }
	o.sent, o.lost = slices.DeleteFunc(o.sent, early), slices.DeleteFunc(o.lost, early)
	n := -len(o.lost)
	for _, t := range o.sent {
		if t <= now {
			n++
		}
	}
	if o.at == 0 || now-o.at > 100_000 {
		o.had = o.inForce(now, limit.Rate)
		o.level = math.Max(o.lower(o.had, float64(n)), limit.Rate/100)
		o.at = now
	}
	blocked := int64(0)
	if retryAfter > 0 {
		blocked = o.model.pause(now, retryAfter)
	}
	return slowdown{now: now, blocked: blocked}
}
