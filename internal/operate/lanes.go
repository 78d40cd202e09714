package operate

import (
	"context"
	"fmt"
)

// LaneStore controls the lanes of accounts, for all processes.
type LaneStore interface {
	PauseLane(ctx context.Context, account, reason string) error
	ResumeLane(ctx context.Context, account string) error
	LimitLane(ctx context.Context, account string, rate float64) error
}

// Pause stops the account's new calls in all workers, until it is resumed. A paused
// account keeps the time of its pause, and gets the new reason, which has up to [MaxNote]
// bytes. The error is that of Redis.
func (o Operator) Pause(ctx context.Context, account, reason string) error {
	if len(reason) > MaxNote {
		return fmt.Errorf("operate: the reason has %d bytes; it may have up to %d", len(reason), MaxNote)
	}
	return o.Lanes.PauseLane(ctx, account, reason)
}

// Resume ends a pause. If the account's breaker is open, one worker probes the API at
// once. The error is that of Redis.
func (o Operator) Resume(ctx context.Context, account string) error {
	return o.Lanes.ResumeLane(ctx, account)
}

// Limit sets the account's rate, in creates a second and for all workers together, in
// place of the configured one. A rate of 0 restores the configured one. The error is that
// of Redis, or says that the rate is out of bounds.
func (o Operator) Limit(ctx context.Context, account string, rate float64) error {
	return o.Lanes.LimitLane(ctx, account, rate)
}
