// Package backoff computes the pauses between attempts.
package backoff

import (
	"time"

	exponential "github.com/cenkalti/backoff/v4"
)

// Delay returns the pause after the n-th failure in a row, counted from 1. It doubles
// from lowest, varies by up to half at random, and never exceeds highest. The generator keeps
// state, so each call makes its own.
func Delay(n int, lowest, highest time.Duration) time.Duration {
	b := exponential.NewExponentialBackOff(
		exponential.WithInitialInterval(lowest),
		exponential.WithMaxInterval(highest*2/3), // and half of that more is highest
		exponential.WithMultiplier(2),
		exponential.WithMaxElapsedTime(0), // never Stop: the budget is the record's
	)
	d := b.NextBackOff()
	for range min(n, 32) - 1 {
		d = b.NextBackOff()
	}
	return min(d, highest)
}
