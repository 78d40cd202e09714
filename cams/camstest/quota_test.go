package camstest_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

// accepted makes so many creates, one right after the other, and counts those that
// the quota allows.
func accepted(t *testing.T, c *cams.Client, calls int) int {
	t.Helper()
	n := 0
	for range calls {
		if create(t, c, "shop") == nil {
			n++
		}
	}
	return n
}

func TestAQuotaModelCountsAsItSays(t *testing.T) {
	type at struct {
		ms   int
		want int // of 50 calls
	}
	for _, tt := range []struct {
		name  string
		model camstest.QuotaModel
		burst int
		steps []at
	}{
		{"none named", "", 0, []at{{900, 20}, {999, 0}, {1000, 20}}},
		{"window", camstest.QuotaWindow, 0, []at{{900, 20}, {999, 0}, {1000, 20}, {1999, 0}, {5500, 20}}},
		{"bucket, a tenth of a second's worth", camstest.QuotaBucket, 0, []at{{0, 2}, {49, 0}, {50, 1}, {149, 1}, {150, 1}, {250, 2}, {9000, 2}}},
		{"bucket, five", camstest.QuotaBucket, 5, []at{{0, 5}, {100, 2}, {9000, 5}}},
		{"sliding", camstest.QuotaSliding, 0, []at{{900, 20}, {1000, 0}, {1899, 0}, {1900, 20}, {9000, 20}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := camstest.New(camstest.Config{Quota: 20, QuotaModel: tt.model, Burst: tt.burst, Calm: true})
				defer s.Close()
				c, start := newClient(t, s, ""), time.Now()
				for _, step := range tt.steps {
					time.Sleep(time.Until(start.Add(time.Duration(step.ms) * time.Millisecond)))
					if got := accepted(t, c, 50); got != step.want {
						t.Errorf("at %d ms: got %d, want %d", step.ms, got, step.want)
					}
				}
			})
		})
	}
}

func TestAThrottledAnswerSaysHowLongToWait(t *testing.T) {
	for _, model := range []camstest.QuotaModel{camstest.QuotaWindow, camstest.QuotaBucket, camstest.QuotaSliding} {
		synctest.Test(t, func(t *testing.T) {
			s := camstest.New(camstest.Config{Quota: 8, QuotaModel: model, Calm: true})
			defer s.Close()
			c := newClient(t, s, "")
			time.Sleep(130 * time.Millisecond)
			accepted(t, c, 8)
			e := create(t, c, "shop")
			if e == nil || e.Code != "Throttling.User" || e.RetryAfter <= 0 {
				t.Fatalf("%s: got %v", model, e)
			}
			time.Sleep(e.RetryAfter - time.Millisecond)
			if create(t, c, "shop") == nil {
				t.Errorf("%s: a call before its time: want throttled", model)
			}
			time.Sleep(time.Millisecond)
			if e := create(t, c, "shop"); e != nil {
				t.Errorf("%s: after the time: %v", model, e)
			}
			if s.ThrottledCalls("CreateInstance") != s.Throttled() || s.ThrottledCalls("ListInstance") != 0 {
				t.Errorf("%s: got %d creates throttled of %d calls", model, s.ThrottledCalls("CreateInstance"), s.Throttled())
			}
		})
	}
}

func TestAThrottledAnswerMaySayNothingOfTheWait(t *testing.T) {
	s := camstest.New(camstest.Config{NoRetryAfter: true})
	defer s.Close()
	c := newClient(t, s, "")
	s.Next("CreateInstance", camstest.Fault{Reply: camstest.ReplyThrottled}, camstest.Fault{Reply: camstest.ReplyThrottled, RetryAfter: time.Second})
	for _, want := range []time.Duration{0, time.Second} {
		if e := create(t, c, "shop"); e == nil || e.Code != "Throttling.User" || e.RetryAfter != want {
			t.Errorf("got %v, want throttled for %v", e, want)
		}
	}
}

func TestAnotherQuotaHoldsAtOnce(t *testing.T) {
	for _, model := range []camstest.QuotaModel{camstest.QuotaWindow, camstest.QuotaBucket, camstest.QuotaSliding} {
		synctest.Test(t, func(t *testing.T) {
			s := camstest.New(camstest.Config{Quota: 100, QuotaModel: model, Calm: true})
			defer s.Close()
			c := newClient(t, s, "")
			second := func() int { // in which a call is tried each 2 ms
				n := 0
				for range 500 {
					n += accepted(t, c, 1)
					time.Sleep(2 * time.Millisecond)
				}
				return n
			}
			var got []int
			for _, quota := range []int{100, 30, 100} {
				s.SetQuota(quota)
				if s.Quota() != quota {
					t.Errorf("Quota: got %d, want %d", s.Quota(), quota)
				}
				second() // what the old quota left
				got = append(got, second())
			}
			if diff := cmp.Diff([]int{100, 30, 100}, got); diff != "" {
				t.Errorf("%s: accepted in a second, -want +got:\n%s", model, diff)
			}
		})
	}
}

func TestJitterComesBeforeTheQuotaAndLatencyAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{Quota: 5, Jitter: 10 * time.Second, Calm: true})
		defer s.Close()
		c, start := newClient(t, s, ""), time.Now()
		var sent sync.WaitGroup
		for range 200 {
			sent.Go(func() { create(t, c, "shop") })
		}
		sent.Wait()
		// All sent at once, they came in over ten seconds, and each second had its quota.
		if n := len(s.Instances()); n < 45 || n > 55 {
			t.Errorf("accepted: got %d, want about 50", n)
		}
		if d := time.Since(start); d > 10*time.Second || d < 9*time.Second {
			t.Errorf("the last came in after %v", d)
		}
		for _, made := range s.Creates() {
			if !made.Arrived.Equal(start) {
				t.Errorf("arrived %v after it was sent", made.Arrived.Sub(start))
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{Quota: 1, Latency: time.Hour})
		defer s.Close()
		c, start := newClient(t, s, ""), time.Now()
		first := make(chan *cams.Error)
		go func() { first <- create(t, c, "shop") }()
		synctest.Wait()
		if e := create(t, c, "shop"); e == nil || time.Since(start) != 0 {
			t.Errorf("over the quota: got %v after %v, want throttled at once", e, time.Since(start))
		}
		if e := <-first; e != nil || time.Since(start) < time.Second {
			t.Errorf("within it: got %v after %v", e, time.Since(start))
		}
	})
}

func TestCreatesAreCallsAndWhoMadeThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{Keys: map[string]string{"a": "1", "b": "2"}, Latency: time.Second})
		defer s.Close()
		s.Add("a", cams.Instance{InstanceName: "there"})
		var want []camstest.Create
		for i, key := range []string{"b", "a"} {
			time.Sleep(time.Minute)
			arrived := time.Now()
			if e := create(t, newClient(t, s, key), "shop"); e != nil {
				t.Fatal(e)
			}
			want = append(want, camstest.Create{Instance: s.Instances()[1+i], Requested: "shop", KeyID: key, Arrived: arrived})
		}
		if diff := cmp.Diff(want, s.Creates()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestAListFindsWhateverHoldsTheName(t *testing.T) {
	s := camstest.New(camstest.Config{Keys: map[string]string{"a": "1", "b": "2"}, Calm: true})
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 0))
	word := func(longest int) string {
		b := make([]byte, random.IntN(longest+1))
		for i := range b {
			b[i] = "ab\x00"[random.IntN(3)]
		}
		return string(b)
	}
	var ours []string // the newest first
	for range 300 {
		name := word(9)
		ours = slices.Insert(ours, 0, name)
		s.Add("a", cams.Instance{InstanceName: name, ChannelType: "VIBER"})
		s.Add("b", cams.Instance{InstanceName: word(9), ChannelType: "VIBER"})
	}
	c := newClient(t, s, "a")
	for range 200 {
		part := word(5)
		want := slices.DeleteFunc(slices.Clone(ours), func(name string) bool { return !strings.Contains(name, part) })
		found, err := c.ListInstances(t.Context(), cams.ListInstancesRequest{InstanceName: part})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range found {
			got = append(got, i.InstanceName)
		}
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			t.Fatalf("%q: -want +got:\n%s", part, diff)
		}
	}
}

func TestANonceIsRememberedForItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := camstest.New(camstest.Config{Calm: true})
		defer s.Close()
		start := time.Now()
		for _, step := range []struct {
			minute int
			nonce  string
			want   string
		}{
			{0, "a", "OK"}, {20, "b", "OK"}, {30, "a", "SignatureNonceUsed"}, {31, "a", "OK"}, {45, "b", "SignatureNonceUsed"},
			{51, "b", "OK"}, {61, "a", "SignatureNonceUsed"}, {62, "a", "OK"}, {81, "b", "SignatureNonceUsed"}, {82, "b", "OK"},
		} {
			time.Sleep(time.Until(start.Add(time.Duration(step.minute) * time.Minute)))
			if _, code, _ := ask(t, s, signed("ListInstance", step.nonce, url.Values{})); code != step.want {
				t.Errorf("minute %d, nonce %s: got %s, want %s", step.minute, step.nonce, code, step.want)
			}
		}
	})
}

func TestAQuotaModelThatThereIsNotIsRefused(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, `leaky`) {
			t.Errorf("got %s", got)
		}
	}()
	camstest.New(camstest.Config{QuotaModel: "leaky"})
}
