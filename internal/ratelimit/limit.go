package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limit is what a bucket gives out at most.
type Limit struct {
	// Rate is the ceiling, in slots a second, from 1e-6 to 1e6. It may be a
	// fraction: 0.1 is one slot in ten seconds. The rate in force is lower while
	// the API turns calls away.
	Rate float64

	// Burst is how many slots may be taken at once after a quiet time of as
	// many intervals. Defaults to 1: slots are always an interval apart.
	Burst int
}

// Validate returns what is wrong with the limit.
func (l Limit) Validate() error {
	if !(l.Rate >= 1e-6 && l.Rate <= 1e6) { // NaN too
		return fmt.Errorf("ratelimit: rate %v is not from 0.000001 to 1000000 a second", l.Rate)
	}
	if l.Burst < 0 || l.Burst > 1e6 {
		return fmt.Errorf("ratelimit: burst %d is not from 0 to 1000000", l.Burst)
	}
	if l.burstTime() > 365*24*time.Hour {
		return errors.New("ratelimit: it takes more than a year to earn the burst")
	}
	return nil
}

func (l Limit) burst() int { return max(l.Burst, 1) }

// interval is rounded up to whole microseconds, so never faster than Rate.
func (l Limit) interval() time.Duration {
	return time.Duration(math.Ceil(1e6/l.Rate)) * time.Microsecond
}

// burstTime is the time in which an unused bucket earns its whole burst.
func (l Limit) burstTime() time.Duration {
	if f := float64(l.burst()) * float64(l.interval()); f > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return time.Duration(l.burst()) * l.interval()
}
