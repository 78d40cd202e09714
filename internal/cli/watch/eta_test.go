package watch

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/tasks"
)

// counts is a ledger of which a function says how a batch stands.
type counts func(account string) *tasks.Batch

func (c counts) BatchIn(_ context.Context, accounts []string, _ string) ([]*tasks.Batch, error) {
	out := make([]*tasks.Batch, len(accounts))
	for i, account := range accounts {
		out[i] = c(account)
	}
	return out, nil
}

// newBatchFollower follows the batch of these accounts. pace says how an account stands.
func newBatchFollower(c counts, w *bytes.Buffer, pace func(account string) (inspect.Forecast, error), accounts ...string) *follower {
	source := &batchSource{ledger: c, moved: time.Now()}
	total := int64(0)
	for _, account := range accounts {
		b := c(account)
		source.batches = append(source.batches, b)
		total += inspect.StateCounts(b.Jobs).Sum()
	}
	return &follower{Source: source, Progress: newProgress(w, int(total)), eta: newETA(func(_ context.Context, account string, _ int64) (inspect.Forecast, error) {
		return pace(account)
	})}
}

// steady is a batch of which so many jobs a second are created.
func steady(account string, total, perSecond int64) counts {
	start := time.Now()
	return func(string) *tasks.Batch {
		done := min(total, int64(time.Since(start).Seconds())*perSecond)
		return &tasks.Batch{
			Account: account, Name: "march", Closed: start,
			Jobs: map[tasks.State]int64{tasks.StateCreated: done, tasks.StateQueued: total - done},
		}
	}
}

func at(account string, rate float64) inspect.Forecast {
	return inspect.Forecast{LaneState: inspect.LaneState{Lane: tasks.Lane{Account: account, Now: time.Now()}, Configured: rate / 0.99, Quota: ratelimit.State{Rate: rate}}}
}

func TestAWaitTellsPaceAndRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := newBatchFollower(steady("default", 600, 4), &out, func(account string) (inspect.Forecast, error) { return at(account, 5), nil }, "default")
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `0 of 600 ended after less than 1 s: 600 queued; 2 min left at 5 a second
60 of 600 ended after 15 s: 540 queued, 60 created; 2 min left, allowed: 5 a second, 4 a second ended in the last minute
120 of 600 ended after 30 s: 480 queued, 120 created; 2 min left, allowed: 5 a second, 4 a second ended in the last minute
180 of 600 ended after 45 s: 420 queued, 180 created; 105 s left, allowed: 5 a second, 4 a second ended in the last minute
240 of 600 ended after 60 s: 360 queued, 240 created; 90 s left, allowed: 5 a second, 4 a second ended in the last minute
300 of 600 ended after 75 s: 300 queued, 300 created; 75 s left, allowed: 5 a second, 4 a second ended in the last minute
360 of 600 ended after 90 s: 240 queued, 360 created; 60 s left, allowed: 5 a second, 4 a second ended in the last minute
420 of 600 ended after 105 s: 180 queued, 420 created; 45 s left, allowed: 5 a second, 4 a second ended in the last minute
480 of 600 ended after 2 min: 120 queued, 480 created; 30 s left, allowed: 5 a second, 4 a second ended in the last minute
540 of 600 ended after 2 min: 60 queued, 540 created; 15 s left, allowed: 5 a second, 4 a second ended in the last minute
600 of 600 ended after 2 min: 600 created; 4 a second ended in the last minute
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

// What holds an account back is told when it begins and when it ends, and nobody is
// asked whether a worker runs meanwhile.
func TestAWaitTellsWhatHoldsAnAccountBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		total := int64(10)
		batchOf := func(string) *tasks.Batch {
			b := &tasks.Batch{Account: "default", Name: "march", Closed: start, Jobs: map[tasks.State]int64{tasks.StateQueued: total}}
			if time.Since(start) > 100*time.Second {
				b.Jobs = map[tasks.State]int64{tasks.StateCreated: total}
			}
			return b
		}
		f := newBatchFollower(batchOf, &out, func(account string) (inspect.Forecast, error) {
			p := at(account, 5)
			switch since := time.Since(start); {
			case since < 30*time.Second:
				p.Pause = &tasks.Pause{Since: start, Why: "lunch"}
			case since < 70*time.Second:
				p.Trip = &tasks.Trip{Since: start, Action: "CreateInstance", Code: "NoPermission", Message: "no", Probes: 2, ProbeAt: p.Now.Add(10 * time.Second)}
			case since < 80*time.Second:
				return p, errors.New("connection refused")
			}
			return p, nil
		}, "default")
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `default: paused for less than 1 s: lunch; camsq resume default lets it go on
0 of 10 ended after less than 1 s: 10 queued; paused
default: the API has refused CreateInstance for 30 s (NoPermission: no), 2 calls; one job tries it again in 10 s; camsq resume default tries it at once
0 of 10 ended after 60 s: 10 queued; refused (NoPermission)
default: goes on at 5 a second
10 of 10 ended after 101 s: 10 created; 10 a minute ended in the last minute
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

func TestTheOutlookOfSeveralAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lanes := map[string]inspect.Forecast{"a": at("a", 2), "b": at("b", 4), "c": at("c", 1)}
		p := lanes["c"]
		p.Pause = &tasks.Pause{Since: time.Now()}
		lanes["c"] = p
		o := newETA(func(_ context.Context, account string, _ int64) (inspect.Forecast, error) { return lanes[account], nil })
		queued := func(n int64) inspect.StateCounts { return inspect.StateCounts{tasks.StateQueued: n} }
		jobs := map[string]inspect.StateCounts{"a": queued(20), "b": queued(100), "c": queued(1000), "d": {tasks.StateCreated: 5}}
		o.update(t.Context(), jobs)
		if got, want := o.String(), "; 1 of 3 accounts held back, 25 s left"; got != want {
			t.Errorf("outlook %q, want %q", got, want)
		}
		if o.allBlocked() {
			t.Error("all are said to be held back")
		}
		// The account has other jobs, which may go first.
		p = lanes["b"]
		p.Others = 4*3600 - 100
		lanes["b"] = p
		jobs["d"] = inspect.StateCounts{tasks.StateCreated: 35}
		time.Sleep(askEvery)
		o.update(t.Context(), jobs)
		if got, want := o.short(), "1 of 3 accounts held back, 25 s to 60 min left, 6/s; "; strings.ReplaceAll(got, "1 h", "60 min") != want {
			t.Errorf("outlook %q, want %q", got, want)
		}
	})
}

// What is left is told from what is seen: the pace is only what is allowed.
func TestTheRestIsReckonedFromTheSlowerOfPaceAndRate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pace   float64
		change func(*inspect.Forecast)
		then   inspect.StateCounts // 10 s after 1,000 were queued
		want   string
	}{
		{"as the pace promises", 10, nil, inspect.StateCounts{tasks.StateQueued: 900, tasks.StateCreated: 100}, "90 s left, 10/s; "},
		{"slower", 100, nil, inspect.StateCounts{tasks.StateQueued: 900, tasks.StateCreated: 100}, "90 s left, 10/s; "},
		{"faster, since many were withdrawn", 10, nil, inspect.StateCounts{tasks.StateQueued: 100, tasks.StateCancelled: 900}, "10 s left, 90/s; "},
		{"nothing ends, and nobody knows", 10, nil, inspect.StateCounts{tasks.StateQueued: 1000}, ""},
		{"too slow to be measured yet", 0.1, nil, inspect.StateCounts{tasks.StateQueued: 1000}, "2 h 46 min left; "},
		{"the others of the account", 100, func(p *inspect.Forecast) { p.Others = 35_100 }, inspect.StateCounts{tasks.StateQueued: 900, tasks.StateCreated: 100}, "90 s to 6 min left, 10/s; "},
		{"lost answers only", 10, func(p *inspect.Forecast) { p.Settle = 3 * time.Minute }, inspect.StateCounts{tasks.StateUncertain: 2, tasks.StateCreated: 998}, "answers were lost; their outcomes are looked up for up to 3 min, 99.8/s; "},
		{"no worker", 10, func(p *inspect.Forecast) { p.NoWorker = true }, inspect.StateCounts{tasks.StateQueued: 1000}, "no worker is running; "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := at("default", tt.pace)
				if tt.change != nil {
					tt.change(&p)
				}
				o := newETA(func(context.Context, string, int64) (inspect.Forecast, error) { return p, nil })
				o.update(t.Context(), map[string]inspect.StateCounts{"default": {tasks.StateQueued: 1000}})
				time.Sleep(10 * time.Second)
				o.update(t.Context(), map[string]inspect.StateCounts{"default": tt.then})
				if got := o.short(); got != tt.want {
					t.Errorf("outlook %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestABatchThatNobodyHasClosedIsFollowedUntilItIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		// A job comes each 8 s, three times, and ends at once.
		f := newBatchFollower(func(string) *tasks.Batch {
			return &tasks.Batch{Account: "default", Name: "march", Jobs: map[tasks.State]int64{tasks.StateCreated: 1 + min(3, int64(time.Since(start)/(8*time.Second)))}}
		}, &out, func(account string) (inspect.Forecast, error) { return at(account, 5), nil }, "default")
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 34*time.Second || took > 35*time.Second {
			t.Errorf("it was followed for %v, want until 10 s after the last job", took)
		}
		if got := inspect.Total(f.Counts()).Sum(); got != 4 {
			t.Errorf("%d jobs", got)
		}
	})
}

func TestABatchThatExpiresEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		f := newBatchFollower(func(string) *tasks.Batch {
			if time.Since(start) > time.Minute {
				return nil
			}
			return &tasks.Batch{Account: "default", Name: "march", Jobs: map[tasks.State]int64{tasks.StateQueued: 1}}
		}, &out, func(account string) (inspect.Forecast, error) { return at(account, 5), nil }, "default")
		if err := f.Follow(t.Context()); err != nil || time.Since(start) > 62*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestTheBarTellsPaceAndRestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := at("default", 4.95)
		limited.Limit, limited.Configured = 5, 10
		o := newETA(func(context.Context, string, int64) (inspect.Forecast, error) { return limited, nil })
		jobs := inspect.StateCounts{tasks.StateQueued: 495, tasks.StateCreated: 7}
		o.update(t.Context(), map[string]inspect.StateCounts{"default": {tasks.StateQueued: 502}})
		time.Sleep(10 * time.Second)
		o.update(t.Context(), map[string]inspect.StateCounts{"default": jobs})
		for width, want := range map[int]string{
			120: "11 min left (limited), 0.7/s; 7 created, 495 queued",
			80:  "11 min left (limited), 0.7/s; 7 created, 49",
		} {
			var out bytes.Buffer
			b := newBar(&out, 502, func() int { return width })
			b.show(jobs, o)
			if last := out.String()[strings.LastIndex(out.String(), "\r"):]; !strings.Contains(last, want) || !strings.Contains(last, "(7/502)") {
				t.Errorf("at width %d: %q", width, last)
			}
			// More jobs come.
			b.show(inspect.StateCounts{tasks.StateQueued: 993, tasks.StateCreated: 7}, o)
			if last := out.String()[strings.LastIndex(out.String(), "\r"):]; !strings.Contains(last, "(7/1000)") {
				t.Errorf("with more jobs: %q", last)
			}
		}
	})
}

// Those who wait are told once that the API is away, although each probe may fail in
// another way, and that it is back.
func TestAWaitTellsThatTheAPIIsAwayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		batchOf := func(string) *tasks.Batch {
			b := &tasks.Batch{Account: "default", Name: "march", Closed: start, Jobs: map[tasks.State]int64{tasks.StateUncertain: 10}}
			if time.Since(start) > 100*time.Second {
				b.Jobs = map[tasks.State]int64{tasks.StateCreated: 10}
			}
			return b
		}
		f := newBatchFollower(batchOf, &out, func(account string) (inspect.Forecast, error) {
			p := at(account, 5)
			p.Host = "cams.example.com"
			switch since := time.Since(start); {
			case since < 30*time.Second:
				p.Trip = &tasks.Trip{Away: true, Since: start, Action: "ListInstance", Code: tasks.CodeUnsent, Message: "dial tcp 127.0.0.1:18080: connect: connection refused", ProbeAt: p.Now.Add(10 * time.Second)}
			case since < 70*time.Second:
				p.Trip = &tasks.Trip{Away: true, Since: start, Action: "ListInstance", Code: "HTTP.503", Prober: "j7"}
			}
			return p, nil
		}, "default")
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `default: cannot reach the API (cams.example.com): connection refused, for less than 1 s; next probe in 10 s; camsq resume default tries it at once
0 of 10 ended after less than 1 s: 10 uncertain; the API is away (connection refused)
0 of 10 ended after 60 s: 10 uncertain; the API is away (HTTP.503)
default: goes on at 5 a second
10 of 10 ended after 101 s: 10 created; 10 a minute ended in the last minute
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}
