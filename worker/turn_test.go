package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

func TestAPlainJobIsCreatedInOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		d.ledger.put(queued())
		r, err := d.turn(t)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "state", r.State, tasks.StateCreated)
		want(t, "instance", r.Instance, &tasks.EventInstance{InstanceID: "1000", InstanceName: "shop", ChannelType: "VIBER"})
		want(t, "code, tries, adopted", []any{r.Code, r.Tries, r.Adopted}, []any{"OK", 1, false})
		want(t, "callback", r.Callback, tasks.CallbackProgress{State: tasks.CallbackOwed})
		want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
		want(t, "attempts", len(d.attempts), 1)
		want(t, "finishes", d.finishes, []tasks.Finish{{Account: "acme", State: tasks.StateCreated, Code: "OK"}})
	})
}

func TestTheCallCarriesEveryParameter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got cams.CreateInstanceRequest
		d := newFixture(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
			got = q
			return cams.Instance{InstanceID: "1"}, nil
		}))
		r := queued()
		for _, p := range tasks.Params() {
			*p.Field(&r.Request) = "the " + p.Name
		}
		d.ledger.put(r)
		d.toEnd(t)
		want(t, "request", got, cams.CreateInstanceRequest{
			ChannelType: "the ChannelType", InstanceName: "the InstanceName", InstanceDescription: "the InstanceDescription",
			ResourceGroupID: "the ResourceGroupId", OfficeAddress: "the OfficeAddress", ContactMail: "the ContactMail",
			CountryID: "the CountryId", FacebookBmID: "the FacebookBmId", IsvTerms: "the IsvTerms", IsConfirmAudit: "the IsConfirmAudit",
		})
	})
}

// TestATurnNeverCallsOutOfTurn holds every state against what a turn does with it.
func TestATurnNeverCallsOutOfTurn(t *testing.T) {
	owed := func(r tasks.Record) tasks.Record {
		r.Callback.State = tasks.CallbackOwed
		return r
	}
	tests := []struct {
		name      string
		record    func() tasks.Record
		state     tasks.State   // after the turn
		wait      time.Duration // -1: the queue may forget the job
		callbacks int
	}{
		{"queued, in its backoff", func() tasks.Record {
			r := queued()
			r.Due = time.Now().Add(time.Minute)
			return r
		}, tasks.StateQueued, time.Minute, 0},
		{"calling, and its caller may be alive", func() tasks.Record { return called(tasks.StateCalling, 30*time.Second) }, tasks.StateCalling, 30 * time.Second, 0},
		{"calling, and its deadline has passed", func() tasks.Record { return called(tasks.StateCalling, 0) }, tasks.StateUncertain, 2 * time.Second, 0},
		{"uncertain, and the next look is not due", func() tasks.Record { return called(tasks.StateUncertain, 8*time.Second) }, tasks.StateUncertain, 8 * time.Second, 0},
		{"uncertain, and nothing to be seen", func() tasks.Record { return called(tasks.StateUncertain, 0) }, tasks.StateUncertain, 4 * time.Second, 0},
		{"held", func() tasks.Record { return called(tasks.StateHeld, 0) }, tasks.StateHeld, -1, 0},
		{"held, and its receiver does not know", func() tasks.Record { return owed(called(tasks.StateHeld, 0)) }, tasks.StateHeld, -1, 1},
		{"created", func() tasks.Record { return called(tasks.StateCreated, 0) }, tasks.StateCreated, -1, 0},
		{"created, and its receiver does not know", func() tasks.Record { return owed(called(tasks.StateCreated, 0)) }, tasks.StateCreated, -1, 1},
		{"failed, and its receiver does not know", func() tasks.Record { return owed(called(tasks.StateFailed, 0)) }, tasks.StateFailed, -1, 1},
		{"cancelled", func() tasks.Record { return called(tasks.StateCancelled, 0) }, tasks.StateCancelled, -1, 0},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newFixture(t)
			d.ledger.put(tt.record())
			r, err := d.turn(t)
			want(t, "state", r.State, tt.state)
			want(t, "creates", d.cloud.creates, 0)
			want(t, "queued callbacks", len(d.callbacks.all()), tt.callbacks)
			if tt.wait < 0 {
				noError(t, err)
				return
			}
			want(t, "wait", later(t, err), tt.wait)
		})
	}
}

func TestATurnWithoutARecordToGoByDoesNothing(t *testing.T) {
	d := newFixture(t)
	if err := d.Process(t.Context(), job1); !errors.Is(err, tasks.ErrNotFound) {
		t.Errorf("Turn of no job: %v, want tasks.ErrNotFound", err)
	}
	err := d.Process(t.Context(), tasks.Ref{Account: "other", ID: "job-1"})
	want(t, "wait for another worker", later(t, err), time.Minute)
}

// TestWhereEachAnswerLeads goes through a first call's outcomes.
func TestWhereEachAnswerLeads(t *testing.T) {
	throttled := said(400, "Throttling.User")
	throttled.RetryAfter = 30 * time.Second
	tests := []struct {
		name       string
		answer     *cams.Error
		state      tasks.State
		tries      int
		code       string
		ends       bool
		atLeast    time.Duration // the wait, if it does not end
		slows      int           // how often creating is slowed down
		trips      bool          // the account's breaker
		callback   tasks.CallbackState
		noFirstTry bool
	}{
		{name: "rejected", answer: said(200, "InvalidParameter.CountryId"), state: tasks.StateFailed, tries: 1, code: "InvalidParameter.CountryId", ends: true, callback: tasks.CallbackOwed},
		{name: "throttled: costs no try", answer: throttled, state: tasks.StateQueued, code: "Throttling.User", atLeast: 30 * time.Second, slows: 1, noFirstTry: true},
		{name: "blocked: costs no try, and the lane trips", answer: said(403, "NoPermission"), state: tasks.StateQueued, code: "NoPermission", trips: true, noFirstTry: true},
		{name: "unsent", answer: &cams.Error{Err: errors.New("connection refused")}, state: tasks.StateQueued, tries: 1, code: tasks.CodeUnsent, atLeast: 500 * time.Millisecond},
		{name: "no credentials", answer: &cams.Error{Err: cams.ErrCredentials}, state: tasks.StateQueued, code: tasks.CodeNoCredentials, trips: true, noFirstTry: true},
		{name: "ambiguous", answer: noAnswer(), state: tasks.StateUncertain, tries: 1, code: tasks.CodeNoAnswer, atLeast: 2 * time.Second},
		{name: "ambiguous and throttled", answer: said(400, "Throttling.Product"), state: tasks.StateUncertain, tries: 1, code: "Throttling.Product", atLeast: 2 * time.Second, slows: 1},
		{name: "a page of a load balancer", answer: said(502, ""), state: tasks.StateUncertain, tries: 1, code: "HTTP.502", atLeast: 2 * time.Second},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newFixture(t, answering(tt.answer))
			d.ledger.put(queued())
			r, err := d.turn(t)
			want(t, "state, tries, code, callback",
				[]any{r.State, r.Tries, r.Code, r.Callback.State}, []any{tt.state, tt.tries, tt.code, tt.callback})
			want(t, "no first try", r.FirstTry.IsZero(), tt.noFirstTry)
			want(t, "slowed down, creating and listing", []int{len(d.create.throttled), len(d.list.throttled)}, []int{tt.slows, 0})
			want(t, "the lane is tripped", d.breaker.tripped("acme"), tt.trips)
			if tt.ends {
				noError(t, err)
			} else if got := later(t, err); got < tt.atLeast {
				t.Errorf("comes back after %v, want %v or more", got, tt.atLeast)
			}
			want(t, "queued callbacks", len(d.callbacks.all()) == 1, tt.callback == tasks.CallbackOwed)
		})
	}
}

func TestTheBudgetOfTriesEndsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, answering(&cams.Error{Err: errors.New("connection refused")}), config(func(c *worker.Config) { c.MaxTries = 3 }))
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "state, tries, code", []any{r.State, r.Tries, r.Code}, []any{tasks.StateFailed, 3, tasks.CodeTriesSpent})
		want(t, "attempts", len(d.attempts), 3)
		want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
	})
}

func TestTheBudgetOfAgeCountsFromTheFirstTryThatCostOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttledUntil := time.Now().Add(48 * time.Hour)
		var first time.Time
		d := newFixture(t, config(func(c *worker.Config) { c.MaxAge, c.MaxTries = time.Hour, 1_000_000 }),
			creating(func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error) {
				if time.Now().Before(throttledUntil) {
					return cams.Instance{}, said(400, "Throttling.User")
				}
				if first.IsZero() {
					first = time.Now()
				}
				return cams.Instance{}, &cams.Error{Err: errors.New("connection refused")}
			}))
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "state, code", []any{r.State, r.Code}, []any{tasks.StateFailed, tasks.CodeAgeSpent})
		if took := time.Since(first); took < time.Hour || took > 90*time.Minute {
			t.Errorf("it gave up %v after the first try that cost one, want 1 h and a pause", took)
		}
	})
}

func TestJobsOfOneNameDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, config(func(c *worker.Config) { c.OnExisting = worker.ExistingCreate }))
		other := queued()
		other.ID = "job-0"
		if _, err := d.ledger.LockName(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		d.ledger.put(queued())
		_, err := d.turn(t)
		want(t, "wait", later(t, err), 5*time.Second)
		want(t, "creates, waits", []int{d.cloud.creates, d.list.waits, d.create.waits}, []int{0, 0, 0})

		delete(d.ledger.names, other.Request.NameKey())
		want(t, "state", d.toEnd(t).State, tasks.StateCreated)
		want(t, "claims that are left", len(d.ledger.names), 0)
	})
}

// TestARequestWithoutANameIsNeverCalled: whatever let such a record through, the API
// would answer for an instance that no producer has asked for.
func TestARequestWithoutANameIsNeverCalled(t *testing.T) {
	for name, request := range map[string]tasks.Request{
		"empty": {}, "no name": {ChannelType: "VIBER"}, "no channel type": {InstanceName: "shop"},
	} {
		bubble(t, name, func(t *testing.T) {
			d := newFixture(t)
			r := queued()
			r.Request = request
			d.ledger.put(r)
			r, err := d.turn(t)
			if !errors.Is(err, tasks.ErrUnreadable) {
				t.Errorf("Turn returned %v, want ErrUnreadable", err)
			}
			want(t, "state, tries, creates", []any{r.State, r.Tries, d.cloud.creates}, []any{tasks.StateQueued, 0, 0})
		})
	}
}

func TestAMarkThatAnotherTurnSetFirstLeadsToNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, func(d *fixture, c *worker.Config) {
			d.create.wait = func(ctx context.Context) error { // another turn comes first while this one waits
				r, _ := d.ledger.Get(ctx, job1)
				_, err := d.ledger.Transition(ctx, r, tasks.StepBegin, 30*time.Second)
				return err
			}
		})
		d.ledger.put(queued())
		r, err := d.turn(t)
		want(t, "wait", later(t, err), time.Second)
		want(t, "state, creates", []any{r.State, d.cloud.creates}, []any{tasks.StateCalling, 0})
	})
}

func TestAWorkerThatWasFrozenBetweenMarkAndCallDoesNotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, stepping(func(next stepFunc) stepFunc {
			return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
				r, err := next(ctx, r, by, due)
				if by == tasks.StepBegin {
					time.Sleep(8 * time.Second)
				}
				return r, err
			}
		}))
		d.ledger.put(queued())
		r, _ := d.turn(t)
		want(t, "state, tries, code, creates",
			[]any{r.State, r.Tries, r.Code, d.cloud.creates}, []any{tasks.StateQueued, 1, tasks.CodeUnsent, 0})
	})
}

func TestTheCallEndsBeforeOthersMayJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, func(d *fixture, c *worker.Config) {
			c.Store = ledgerFuncs{d.ledger, func(next stepFunc) stepFunc {
				return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
					r, err := next(ctx, r, by, due)
					if by == tasks.StepBegin {
						time.Sleep(5 * time.Second) // the mark is there, and Redis is slow to say so
					}
					return r, err
				}
			}}
			c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, _ cams.CreateInstanceRequest) (cams.Instance, error) {
				<-ctx.Done()
				r, _ := d.ledger.Get(t.Context(), job1)
				if left := r.Wait(); left < 5*time.Second {
					t.Errorf("%v are left to settle in, want 5 s", left)
				}
				return cams.Instance{}, &cams.Error{Sent: true, Err: ctx.Err()}
			}}
		})
		d.ledger.put(queued())
		r, _ := d.turn(t)
		want(t, "state", r.State, tasks.StateUncertain)
	})
}

func TestTheQueueCannotInterruptACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := newFixture(t, func(d *fixture, c *worker.Config) {
			c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
				cancel() // the lease is lost
				return d.cloud.CreateInstance(ctx, q)
			}}
		})
		d.ledger.put(queued())
		noError(t, d.Process(ctx, job1))
		want(t, "state", d.job(t).State, tasks.StateCreated)
	})
}
