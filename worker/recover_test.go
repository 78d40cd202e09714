package worker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

func TestANameThatExistsBeforeTheFirstCall(t *testing.T) {
	tests := []struct {
		existing  worker.OnExisting
		instances int
		taken     bool // by other jobs
		state     tasks.State
		code      string
		instance  string
		adopted   bool
		creates   int
	}{
		{existing: worker.ExistingFail, instances: 1, state: tasks.StateFailed, code: tasks.CodeExists},
		{existing: worker.ExistingFail, instances: 2, state: tasks.StateFailed, code: tasks.CodeExists},
		{existing: worker.ExistingAdopt, instances: 1, state: tasks.StateCreated, code: "OK", instance: "1000", adopted: true},
		{existing: worker.ExistingAdopt, instances: 2, state: tasks.StateHeld, code: tasks.CodeSeveral},
		{existing: worker.ExistingAdopt, instances: 1, taken: true, state: tasks.StateFailed, code: tasks.CodeExists},
		{existing: worker.ExistingCreate, instances: 1, state: tasks.StateCreated, code: "OK", instance: "1001", creates: 1},
	}
	for _, tt := range tests {
		bubble(t, string(tt.existing), func(t *testing.T) {
			d := newFixture(t, config(func(c *worker.Config) { c.OnExisting = tt.existing }))
			var ids []string
			for range tt.instances {
				i := d.cloud.add("VIBER", "shop")
				ids = append(ids, i.InstanceID)
				if tt.taken {
					d.ledger.instances[i.InstanceID] = "job-0"
				}
			}
			d.ledger.put(queued())
			r, err := d.turn(t)
			noError(t, err)
			want(t, "state, code, adopted", []any{r.State, r.Code, r.Adopted}, []any{tt.state, tt.code, tt.adopted})
			want(t, "creates", d.cloud.creates, tt.creates)
			if tt.instance != "" {
				want(t, "instance", r.Instance.InstanceID, tt.instance)
			}
			if tt.state == tasks.StateHeld {
				want(t, "candidates", r.Candidates, ids)
			}
			if tt.state == tasks.StateFailed && !strings.Contains(r.Message, ids[0]) {
				t.Errorf("the message does not name what exists: %s", r.Message)
			}
			want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
		})
	}
}

func TestWhatExistedBeforeIsNeverTakenForTheJobsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, answering(noAnswer()), config(func(c *worker.Config) { c.OnExisting, c.OnNotFound = worker.ExistingCreate, worker.NotFoundHold }))
		d.cloud.add("VIBER", "shop")
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "state, code", []any{r.State, r.Code}, []any{tasks.StateHeld, tasks.CodeAbsent})
	})
}

func TestALostAnswerIsLookedUp(t *testing.T) {
	tests := []struct {
		name     string
		appears  int // how many instances
		after    time.Duration
		taken    bool // the first of them, by another job
		state    tasks.State
		instance string
		look     string
	}{
		{name: "one, at once", appears: 1, state: tasks.StateCreated, instance: "1000", look: "found"},
		{name: "one, after a while", appears: 1, after: 2 * time.Minute, state: tasks.StateCreated, instance: "1000", look: "found"},
		{name: "two of which another job has one", appears: 2, taken: true, state: tasks.StateCreated, instance: "1001", look: "found"},
		{name: "two", appears: 2, state: tasks.StateHeld, look: "several"},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newFixture(t)
			d.ledger.put(called(tasks.StateUncertain, 0))
			go func() {
				time.Sleep(tt.after)
				for range tt.appears {
					d.cloud.mu.Lock()
					i := d.cloud.add("VIBER", "shop")
					d.cloud.mu.Unlock()
					if tt.taken && i.InstanceID == "1000" {
						d.ledger.instances[i.InstanceID] = "job-0"
					}
				}
			}()
			synctest.Wait()
			r := d.toEnd(t)
			want(t, "state", r.State, tt.state)
			want(t, "last look", d.looks[len(d.looks)-1], tt.look)
			want(t, "creates", d.cloud.creates, 0)
			want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
			if tt.state == tasks.StateHeld {
				want(t, "candidates, code", []any{r.Candidates, r.Code}, []any{[]string{"1000", "1001"}, tasks.CodeSeveral})
				return
			}
			want(t, "instance, adopted", []any{r.Instance.InstanceID, r.Adopted}, []any{tt.instance, true})
		})
	}
}

func TestAnInstanceThatNeverAppears(t *testing.T) {
	for _, absent := range []worker.OnNotFound{worker.NotFoundResend, worker.NotFoundHold} {
		bubble(t, string(absent), func(t *testing.T) {
			d := newFixture(t, config(func(c *worker.Config) { c.OnNotFound = absent }))
			d.ledger.put(called(tasks.StateUncertain, 0))
			start := time.Now()
			for d.job(t).State == tasks.StateUncertain {
				_, err := d.turn(t)
				if err != nil {
					time.Sleep(later(t, err))
				}
			}
			if took := time.Since(start); took < 3*time.Minute {
				t.Errorf("it was given up after %v, want the settle window's 3 min", took)
			}
			if n := len(d.looks); n < 6 || n > 12 {
				t.Errorf("%d looks: %v, want them 2, 4, 8, … s apart", n, d.looks)
			}
			r := d.toEnd(t)
			if absent == worker.NotFoundHold {
				want(t, "state, code, creates", []any{r.State, r.Code, d.cloud.creates}, []any{tasks.StateHeld, tasks.CodeAbsent, 0})
				return
			}
			want(t, "state, tries, creates", []any{r.State, r.Tries, d.cloud.creates}, []any{tasks.StateCreated, 2, 1})
		})
	}
}

func TestNoAnswerToALookIsNoEvidence(t *testing.T) {
	tests := []struct {
		name   string
		answer *cams.Error
		trips  bool
	}{
		{"no answer", noAnswer(), true}, // the API is away
		{"500", said(500, "InternalError"), true},
		{"throttled", said(400, "Throttling.User"), false},
		{"no permission to list", said(403, "NoPermission"), true},
	}
	for _, tt := range tests {
		for _, state := range []tasks.State{tasks.StateQueued, tasks.StateUncertain} {
			bubble(t, tt.name+", "+string(state), func(t *testing.T) {
				d := newFixture(t, finding(func(context.Context, *cams.Search) (bool, error) { return false, tt.answer }),
					config(func(c *worker.Config) { c.SettleWindow = 3 * time.Second }))
				r := queued()
				if state == tasks.StateUncertain {
					r = called(state, 0)
				}
				d.ledger.put(r)
				start, tries := time.Now(), r.Tries
				for time.Since(start) < time.Hour {
					_, err := d.turn(t)
					time.Sleep(later(t, err) + time.Second)
				}
				r = d.job(t)
				want(t, "state, tries, creates", []any{r.State, r.Tries, d.cloud.creates}, []any{state, tries, 0})
				want(t, "the lane is tripped", d.breaker.tripped("acme"), tt.trips)
				if r.Delays > 40 {
					t.Errorf("%d looks in an hour, want a backoff", r.Delays)
				}
			})
		}
	}
}
