package ratelimit

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/internal/redistest"
)

// What the simulation says of the model is true of the buckets themselves: three
// processes against an API whose quota is cut to a third for half a minute.
func TestProcessesFollowAQuotaThatIsCutAndRestored(t *testing.T) {
	for name, hint := range map[string]bool{"with retry-after": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const quota, calls, latency = 100, 8000, 50 * time.Millisecond
				start := time.Now()
				restored := cut(0.33, 1)
				var mu sync.Mutex
				var good, bad int
				var took time.Duration
				api := clockSecond{quota: func(at int64) float64 {
					return float64(int(quota * restored(micros(at-start.UnixMicro()))))
				}}
				call := func() (ok bool, retryAfter time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					ok, us := api.call(time.Now().UnixMicro())
					if !ok {
						bad++
						return ok, micros(us)
					}
					good++
					took = time.Since(start)
					return ok, 0
				}
				left := func() bool {
					mu.Lock()
					defer mu.Unlock()
					return good < calls
				}

				m, _ := redistest.Mini(t)
				var wg sync.WaitGroup
				for p := range 3 {
					b := New(redistest.MiniClient(t, m), Config{}).Bucket("k", Limit{Rate: 0.99 * quota})
					for w := range 8 {
						rnd := rand.New(rand.NewPCG(uint64(p), uint64(w)))
						wg.Go(func() {
							for left() {
								if _, err := b.Wait(t.Context()); err != nil {
									if _, long := errors.AsType[*WaitTooLongError](err); !long {
										t.Error(err)
									}
									continue
								}
								time.Sleep(time.Duration(rnd.Int64N(int64(20 * time.Millisecond))))
								ok, retryAfter := call()
								time.Sleep(latency)
								if !ok {
									if !hint {
										retryAfter = 0
									}
									if err := b.Throttled(context.WithoutCancel(t.Context()), retryAfter); err != nil {
										t.Error(err)
									}
								}
							}
						})
					}
				}
				wg.Wait()

				allowed := 0.0
				for d := time.Duration(0); d < took; d += time.Millisecond {
					allowed += quota * restored(d) / 1000
				}
				use, turned := float64(good)/allowed, float64(bad)/float64(good+bad)
				t.Logf("used %.1f %%, turned away %.2f %%", 100*use, 100*turned)
				if use < 0.95 || turned > 0.02 {
					t.Errorf("used %.2f %% of the quota, want 95 %%; turned away %.2f %%, want at most 2 %%", 100*use, 100*turned)
				}
			})
		})
	}
}
