package ratelimit

import (
	"context"
	"time"
)

func (b *Bucket) WaitUrgent(ctx context.Context) (time.Duration, error) { return b.Wait(ctx) }
func (b *Bucket) Throttled(ctx context.Context, d time.Duration) error {
	return b.Pause(ctx, max(d, time.Second))
}
func (b *Bucket) SetRate(r float64) { b.setLimit(Limit{Rate: r, Burst: b.limit.Burst}) }
