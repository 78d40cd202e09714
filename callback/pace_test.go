package callback_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/tasks"
)

// bubble runs a test of one sender, without sockets and on a clock of its own.
func bubble(t *testing.T, config callback.Config, run func(t *testing.T, network memoryNetwork, sender *callback.Sender)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		config.AllowPrivate = true
		network := memoryNetwork{}
		sender := newSender(t, config)
		sender.DialWith(network.dial)
		run(t, network, sender)
	})
}

func TestAHostThatAskedForAPauseIsLeftAloneUntilThen(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			bubble(t, callback.Config{}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
				var hits atomic.Int32
				network.serve(t, "busy.example:80", func(w http.ResponseWriter, _ *http.Request) {
					if hits.Add(1) == 1 {
						w.Header().Set("Retry-After", "120")
						w.WriteHeader(status)
					}
				})
				network.serve(t, "calm.example:80", func(http.ResponseWriter, *http.Request) {})

				first := sender.Send(t.Context(), "http://busy.example/a", "msg_1", nil)
				if first.Status != status || first.RetryAfter != 2*time.Minute || !first.CostsTry() {
					t.Fatalf("first delivery = %+v", first)
				}
				time.Sleep(30 * time.Second)
				gated := sender.Send(t.Context(), "http://BUSY.example.:80/b", "msg_2", nil)
				if gated.Result != tasks.DeliveryRetry || gated.Reason != tasks.ReasonGated || gated.RetryAfter != 90*time.Second || gated.CostsTry() {
					t.Errorf("delivery within the pause = %+v", gated)
				}
				if other := sender.Send(t.Context(), "http://calm.example/", "msg_3", nil); other.Result != tasks.DeliveryDelivered {
					t.Errorf("delivery to another host = %+v", other)
				}
				time.Sleep(90*time.Second - time.Nanosecond)
				sender.Send(t.Context(), "http://busy.example/a", "msg_1", nil)
				if n := hits.Load(); n != 1 {
					t.Errorf("the host was asked %d times within its pause", n-1)
				}
				time.Sleep(time.Nanosecond)
				if after := sender.Send(t.Context(), "http://busy.example/a", "msg_1", nil); after.Result != tasks.DeliveryDelivered {
					t.Errorf("delivery after the pause = %+v", after)
				}
				if n := sender.Hosts(); n != 0 {
					t.Errorf("%d hosts are still remembered", n)
				}
			})
		})
	}
}

// Several receivers may share a host: one that asks for a day must not silence the others for a day.
func TestAHostIsLeftAloneForAnHourAtMost(t *testing.T) {
	bubble(t, callback.Config{}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
		network.serve(t, "shared.example:80", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/full" {
				w.Header().Set("Retry-After", "86400")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		if full := sender.Send(t.Context(), "http://shared.example/full", "msg_1", nil); full.RetryAfter != 24*time.Hour {
			t.Errorf("delivery = %+v", full)
		}
		if gated := sender.Send(t.Context(), "http://shared.example/", "msg_2", nil); gated.RetryAfter != time.Hour {
			t.Errorf("delivery within the pause = %+v", gated)
		}
		time.Sleep(time.Hour)
		if other := sender.Send(t.Context(), "http://shared.example/", "msg_2", nil); other.Result != tasks.DeliveryDelivered {
			t.Errorf("delivery after an hour = %+v", other)
		}
	})
}

func TestASlowHostHoldsUpItselfAlone(t *testing.T) {
	const perHost, sends = 3, 10
	bubble(t, callback.Config{PerHost: perHost}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
		var now, most, hits atomic.Int32
		network.serve(t, "slow.example:80", func(http.ResponseWriter, *http.Request) {
			hits.Add(1)
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(10 * time.Second)
			now.Add(-1)
		})
		network.serve(t, "fast.example:80", func(http.ResponseWriter, *http.Request) {})

		results := make(chan tasks.Delivery, sends)
		for i := range sends {
			go func() {
				results <- sender.Send(t.Context(), "http://slow.example/", fmt.Sprintf("msg_%d", i), nil)
			}()
		}
		synctest.Wait()
		if n := now.Load(); n != perHost {
			t.Errorf("%d tries are under way, want %d", n, perHost)
		}
		began := time.Now()
		if fast := sender.Send(t.Context(), "http://fast.example/", "msg_f", nil); fast.Result != tasks.DeliveryDelivered || time.Since(began) > 0 {
			t.Errorf("delivery to another host = %+v, after %s", fast, time.Since(began))
		}
		for range sends {
			// The wait for a slot is not part of a try, and does not eat its time.
			if d := <-results; d.Result != tasks.DeliveryDelivered || d.Took != 10*time.Second {
				t.Errorf("delivery = %+v", d)
			}
		}
		if most.Load() != perHost || hits.Load() != sends {
			t.Errorf("%d tries at once and %d in all, want %d and %d", most.Load(), hits.Load(), perHost, sends)
		}
		if n := sender.Hosts(); n != 0 {
			t.Errorf("%d hosts are still remembered", n)
		}
	})
}

func TestWhoWaitsForASlotWhenThePauseBeginsIsNotSent(t *testing.T) {
	bubble(t, callback.Config{PerHost: 1}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
		var hits atomic.Int32
		network.serve(t, "busy.example:80", func(w http.ResponseWriter, _ *http.Request) {
			hits.Add(1)
			time.Sleep(time.Second)
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		results := make(chan tasks.Delivery, 4)
		for range cap(results) {
			go func() { results <- sender.Send(t.Context(), "http://busy.example/", "msg_1", nil) }()
		}
		reasons := map[string]int{}
		for range cap(results) {
			reasons[(<-results).Reason]++
		}
		if hits.Load() != 1 || reasons[tasks.ReasonRateLimited] != 1 || reasons[tasks.ReasonGated] != 3 {
			t.Errorf("%d requests, reasons %v, want 1 request, 1 rate_limited and 3 gated", hits.Load(), reasons)
		}
	})
}

func TestTheWaitForASlotEndsWithItsContext(t *testing.T) {
	bubble(t, callback.Config{PerHost: 1}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
		network.serve(t, "slow.example:80", func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Second) })
		first := make(chan tasks.Delivery, 1)
		go func() { first <- sender.Send(t.Context(), "http://slow.example/", "msg_1", nil) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		got := sender.Send(ctx, "http://slow.example/", "msg_2", nil)
		if got.Reason != tasks.ReasonInterrupted || time.Since(began) != time.Second {
			t.Errorf("delivery = %+v after %s", got, time.Since(began))
		}
		if d := <-first; d.Result != tasks.DeliveryDelivered {
			t.Errorf("the try that held the slot = %+v", d)
		}
	})
}

func TestATryEndsWithItsTimeout(t *testing.T) {
	bubble(t, callback.Config{}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
		network.serve(t, "silent.example:80", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		network.serve(t, "drip.example:80", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		silent := sender.Send(t.Context(), "http://silent.example/", "msg_1", nil)
		if silent.Result != tasks.DeliveryRetry || silent.Reason != tasks.ReasonTimeout || silent.Took != 15*time.Second {
			t.Errorf("no answer: delivery = %+v", silent)
		}
		drip := sender.Send(t.Context(), "http://drip.example/", "msg_1", nil)
		if drip.Result != tasks.DeliveryDelivered || drip.Took != 15*time.Second {
			t.Errorf("an answer whose body never ends: delivery = %+v", drip)
		}
	})
}

func TestRetryAfterIsReadAsSecondsOrAsADate(t *testing.T) {
	cases := []struct {
		name  string
		value func(now time.Time) string
		want  time.Duration
	}{
		{"seconds", func(time.Time) string { return "120" }, 2 * time.Minute},
		{"no seconds", func(time.Time) string { return "0" }, 0},
		{"more than a day", func(time.Time) string { return "172800" }, 24 * time.Hour},
		{"more than a number can hold", func(time.Time) string { return "99999999999999999999999" }, 24 * time.Hour},
		{"a date", func(now time.Time) string { return now.Add(90 * time.Second).Format(http.TimeFormat) }, 90 * time.Second},
		{"a date in the past", func(now time.Time) string { return now.Add(-90 * time.Second).Format(http.TimeFormat) }, 0},
		{"a date in three days", func(now time.Time) string { return now.Add(72 * time.Hour).Format(http.TimeFormat) }, 24 * time.Hour},
		{"negative", func(time.Time) string { return "-5" }, 0},
		{"a fraction", func(time.Time) string { return "1.5" }, 0},
		{"words", func(time.Time) string { return "soon" }, 0},
		{"empty", func(time.Time) string { return "" }, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, callback.Config{}, func(t *testing.T, network memoryNetwork, sender *callback.Sender) {
				network.serve(t, "down.example:80", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", c.value(time.Now().UTC()))
					w.WriteHeader(http.StatusInternalServerError)
				})
				for range 2 { // a 500 says nothing of other webhooks: the host is not gated
					got := sender.Send(t.Context(), "http://down.example/", "msg_1", nil)
					if got.RetryAfter != c.want || got.Status != 500 {
						t.Errorf("delivery = %+v, want RetryAfter %s", got, c.want)
					}
				}
			})
		})
	}
}
