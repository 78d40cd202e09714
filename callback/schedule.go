package callback

import (
	"math/rand/v2"
	"time"
)

// MaxRetryAfter is the longest pause that a receiver can ask for.
const MaxRetryAfter = 24 * time.Hour

const jitter = 0.1

// Schedule says when a webhook is tried again. The zero value is the schedule
// that the Standard Webhooks specification gives as its example: ten tries in
// about 76 hours.
type Schedule struct {
	// Delays holds the wait before each try; its length is the number of tries.
	// Defaults to 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h.
	Delays []time.Duration
	// Rand gives a number in [0, 1). Defaults to math/rand/v2's Float64.
	Rand func() float64
}

// NextDelay is how long to wait after the given number of tries, none of which
// delivered; false means that there is to be no further try. The delay is never
// shorter than what the schedule and the receiver (retryAfter, counted up to
// [MaxRetryAfter]) ask for, and up to 10 % longer, so that webhooks that failed
// together do not come back together.
func (s Schedule) NextDelay(tries int, retryAfter time.Duration) (time.Duration, bool) {
	delays := s.delays()
	tries = max(tries, 0)
	if tries >= len(delays) {
		return 0, false
	}
	random := s.Rand
	if random == nil {
		random = rand.Float64
	}
	delay := max(delays[tries], min(retryAfter, MaxRetryAfter), 0)
	return delay + time.Duration(jitter*random()*float64(delay)), true
}

// MaxTries is the number of tries after which a webhook is dead.
func (s Schedule) MaxTries() int { return len(s.delays()) }

func (s Schedule) delays() []time.Duration {
	if s.Delays != nil {
		return s.Delays
	}
	return []time.Duration{
		0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute,
		2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}
