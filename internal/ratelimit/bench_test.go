package ratelimit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/redistest"
)

// trips is a go-redis hook that counts round trips.
type trips struct{ n atomic.Int64 }

func (*trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

// BenchmarkWait measures what a grant costs when all processes are busy: its
// time is the interval, its trips are round trips to a redis-server.
func BenchmarkWait(b *testing.B) {
	for _, rate := range []float64{20, 200, 2000} {
		for _, processes := range []int{1, 4} {
			b.Run(fmt.Sprintf("rate=%v/processes=%d", rate, processes), func(b *testing.B) {
				s := redistest.Start(b)
				var count trips
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				b.ResetTimer()
				for range processes {
					c := s.Client()
					c.AddHook(&count)
					bucket := ratelimit.New(c, patient).Bucket(key, ratelimit.Limit{Rate: rate})
					for range 32 {
						wg.Go(func() {
							for left.Add(-1) >= 0 {
								if _, err := bucket.Wait(b.Context()); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
				}
				wg.Wait()
				b.ReportMetric(float64(count.n.Load())/float64(b.N), "trips/grant")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/rate, "of-quota")
			})
		}
	}
}
