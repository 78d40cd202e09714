package worker

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// backoffDelay returns the pause after the n-th failure in a row, counted from 1. It doubles
// from lowest, varies by up to half at random, and never exceeds highest. The generator keeps
// state, so each call makes its own.
func backoffDelay(n int, lowest, highest time.Duration) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(lowest),
		backoff.WithMaxInterval(highest*2/3), // and half of that more is highest
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(0), // never Stop: the budget is the record's
	)
	d := b.NextBackOff()
	for range min(n, 32) - 1 {
		d = b.NextBackOff()
	}
	return min(d, highest)
}
