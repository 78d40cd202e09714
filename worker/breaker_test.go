package worker_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

func TestManyRefusalsAtOnceAreOneRefusalOfTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, creating(func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error) {
			time.Sleep(time.Second) // all are under way together
			return cams.Instance{}, said(403, "NoPermission")
		}))
		var turns sync.WaitGroup
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			r := queued()
			r.ID, r.Request.InstanceName = id, id
			d.ledger.put(r)
			turns.Go(func() { _ = d.Process(t.Context(), r.Ref()) })
		}
		turns.Wait()
		trip := d.breaker.trips["acme"]
		if next := time.Until(trip.ProbeAt); trip.Probes != 1 || next > 7500*time.Millisecond {
			t.Errorf("%d refusals count, and the next probe comes in %v; want one, and at most 7.5 s", trip.Probes, next)
		}
	})
}

// While the API refuses the account, one call at a time asks whether it still does,
// however many jobs there are; the first that is let in is the end of it. A job that has
// been refused comes up to 2 s late to a probe, and the loop below up to 1 s after that.
func TestABlockedAccountIsProbedLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := said(403, "NoPermission")
		var calls []time.Time
		d := newFixture(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
			calls = append(calls, time.Now())
			if answer == nil {
				return cams.Instance{InstanceID: "cams-" + q.InstanceName}, nil
			}
			return cams.Instance{}, answer
		}))
		var jobs []tasks.Ref
		for _, id := range []string{"a", "b", "c"} {
			r := queued()
			r.ID, r.Request.InstanceName = id, id
			d.ledger.put(r)
			jobs = append(jobs, r.Ref())
		}
		take := func() (ended int) {
			for _, ref := range jobs {
				if err := d.Process(t.Context(), ref); err == nil {
					ended++
				} else {
					later(t, err)
				}
			}
			return ended
		}
		for range 2 * 3600 { // two hours, a look each second
			take()
			time.Sleep(time.Second)
		}
		var gaps []time.Duration
		for i := range len(calls) - 1 {
			gaps = append(gaps, calls[i+1].Sub(calls[i]))
		}
		if len(gaps) < 20 || gaps[0] > 9*time.Second || gaps[len(gaps)-1] < 100*time.Second || slices.Max(gaps) > 304*time.Second {
			t.Errorf("the calls are %v apart, want from about 5 s to about 5 min", gaps)
		}
		for _, ref := range jobs {
			r, _ := d.ledger.Get(t.Context(), ref)
			want(t, "state, tries", []any{r.State, r.Tries}, []any{tasks.StateQueued, 0})
		}

		answer = nil
		start := time.Now()
		for take() < len(jobs) {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 306*time.Second {
			t.Errorf("all were created %v after the account was well, want right after the next probe", took)
		}
		want(t, "the lane is tripped", d.breaker.tripped("acme"), false)
	})
}

// A probe whose answer says nothing of the account leaves it to the next one.
func TestAProbeThatProvesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []*cams.Error{said(403, "NoPermission"), said(400, "Throttling.User"), nil}
		d := newFixture(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
			answer := answers[0]
			answers = answers[1:]
			if answer == nil {
				return cams.Instance{InstanceID: "cams-1"}, nil
			}
			return cams.Instance{}, answer
		}))
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "state, tries", []any{r.State, r.Tries}, []any{tasks.StateCreated, 1})
		want(t, "the lane is tripped", d.breaker.tripped("acme"), false)
	})
}

func TestRefusedCredentialsAreDropped(t *testing.T) {
	for code, drops := range map[string]int{"InvalidSecurityToken.Expired": 1, "NoPermission": 0} {
		bubble(t, code, func(t *testing.T) {
			got := 0
			d := newFixture(t, answering(said(400, code)), config(func(c *worker.Config) { c.Lanes[0].Renew = func() { got++ } }))
			d.ledger.put(queued())
			_, _ = d.turn(t)
			want(t, "Renew calls", got, drops)
		})
	}
}

// Another turn of the prober's job, such as a task that came twice, neither ends
// the probe nor keeps the lane tripped.
func TestATurnBesideTheProbersLeavesTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := true
		d := newFixture(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
			if refused {
				return cams.Instance{}, said(403, "NoPermission")
			}
			time.Sleep(5 * time.Second)
			return cams.Instance{InstanceID: "cams-1"}, nil
		}))
		d.ledger.put(queued())
		_, err := d.turn(t)
		later(t, err)
		refused = false
		time.Sleep(time.Minute)
		probing := make(chan error)
		go func() { probing <- d.Process(t.Context(), job1) }()
		time.Sleep(time.Second) // its call is on the wire
		later(t, d.Process(t.Context(), job1))
		noError(t, <-probing)
		want(t, "state", d.job(t).State, tasks.StateCreated)
		want(t, "the lane is tripped", d.breaker.tripped("acme"), false)
	})
}
