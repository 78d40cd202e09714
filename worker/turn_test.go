package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// desk is a worker with everything around it in memory.
type desk struct {
	*worker.Worker
	ledger       *memory
	cloud        *shelf
	create, list *turnstile
	callbacks    *outbox
	breaker      *fuse
	log          *lockedBuffer

	mu       sync.Mutex
	attempts []tasks.Attempt
	finishes []tasks.Finish
	looks    []string
}

// ledgerFuncs, apiFuncs: a desk's own, with some methods replaced.
type ledgerFuncs struct {
	*memory
	step func(next stepFunc) stepFunc
}

type stepFunc func(context.Context, tasks.Record, tasks.Step, time.Duration) (tasks.Record, error)

func (l ledgerFuncs) Step(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	return l.step(l.memory.Step)(ctx, r, by, due)
}

type apiFuncs struct {
	*shelf
	create func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error)
	find   func(context.Context, *cams.Search) (bool, error)
}

func (a apiFuncs) CreateInstance(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
	if a.create != nil {
		return a.create(ctx, q)
	}
	return a.shelf.CreateInstance(ctx, q)
}

func (a apiFuncs) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
	if a.find != nil {
		return a.find(ctx, q)
	}
	return a.shelf.SearchPage(ctx, q)
}

// newDesk makes a desk; each change is made to its configuration before it opens.
func newDesk(t *testing.T, changes ...func(*desk, *worker.Config)) *desk {
	t.Helper()
	d := &desk{
		ledger: newMemory(), cloud: new(shelf), create: new(turnstile), list: new(turnstile),
		callbacks: new(outbox), breaker: new(fuse), log: new(lockedBuffer),
	}
	c := worker.Config{
		Lanes: []worker.Lane{{
			Account: "acme", API: d.cloud, Create: d.create, List: d.list, CallbackURL: "https://example.com/hook",
		}},
		Store: d.ledger, Queue: d.callbacks, Breaker: d.breaker,
		Log: slog.New(slog.NewTextHandler(d.log, nil)),
		Hooks: worker.Hooks{
			Attempt: func(a tasks.Attempt) { d.note(func() { d.attempts = append(d.attempts, a) }) },
			Finish:  func(f tasks.Finish) { d.note(func() { d.finishes = append(d.finishes, f) }) },
			Lookup:  func(_, result string) { d.note(func() { d.looks = append(d.looks, result) }) },
		},
	}
	for _, change := range changes {
		change(d, &c)
	}
	var err error
	if d.Worker, err = worker.New(c); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) note(event func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	event()
}

// creating replaces the cloud's CreateInstance.
func creating(f func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error)) func(*desk, *worker.Config) {
	return func(d *desk, c *worker.Config) { c.Lanes[0].API = apiFuncs{shelf: d.cloud, create: f} }
}

// answering makes every create end with the error.
func answering(err *cams.Error) func(*desk, *worker.Config) {
	return creating(func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error) { return cams.Instance{}, err })
}

func finding(f func(context.Context, *cams.Search) (bool, error)) func(*desk, *worker.Config) {
	return func(d *desk, c *worker.Config) { c.Lanes[0].API = apiFuncs{shelf: d.cloud, find: f} }
}

func stepping(f func(next stepFunc) stepFunc) func(*desk, *worker.Config) {
	return func(d *desk, c *worker.Config) { c.Store = ledgerFuncs{d.ledger, f} }
}

func config(f func(*worker.Config)) func(*desk, *worker.Config) {
	return func(_ *desk, c *worker.Config) { f(c) }
}

var job1 = tasks.Ref{Account: "acme", ID: "job-1"}

// queued is a new job.
func queued() tasks.Record {
	return tasks.Record{
		Job: tasks.Job{ID: "job-1", Account: "acme", Request: tasks.Request{
			ChannelType: "VIBER", InstanceName: "shop", ContactMail: "ana@example.com", OfficeAddress: "1 Main St",
		}},
		State: tasks.StateQueued, EnqueuedAt: time.Now(), Since: time.Now(),
	}
}

// called is a job after its mark, in any later state.
func called(state tasks.State, due time.Duration) tasks.Record {
	r := queued()
	r.State, r.Tries, r.FirstTry, r.Baseline = state, 1, time.Now(), &[]string{}
	if due > 0 {
		r.Due = time.Now().Add(due)
	}
	return r
}

func (d *desk) job(t *testing.T) tasks.Record {
	t.Helper()
	r, err := d.ledger.Get(t.Context(), job1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// turn takes one turn of job-1 and returns how the job then stands.
func (d *desk) turn(t *testing.T) (tasks.Record, error) {
	t.Helper()
	err := d.Process(t.Context(), job1)
	return d.job(t), err
}

// later fails unless the error asks for the job to come back, and says after how long.
func later(t *testing.T, err error) time.Duration {
	t.Helper()
	l, ok := errors.AsType[*worker.SnoozeError](err)
	if !ok {
		t.Fatalf("Turn returned %v, want a *Later", err)
	}
	return l.For
}

// toEnd takes turns as the queue would, until it may forget the job.
func (d *desk) toEnd(t *testing.T) tasks.Record {
	t.Helper()
	for range 1000 {
		r, err := d.turn(t)
		if err == nil {
			return r
		}
		time.Sleep(later(t, err) + time.Second)
	}
	t.Fatalf("the job does not end: %+v", d.job(t).Progress)
	return tasks.Record{}
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("error: %v", err)
	}
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func noAnswer() *cams.Error {
	return &cams.Error{Op: "CreateInstance", Sent: true, Err: errors.New("EOF")}
}

func said(status int, code string) *cams.Error {
	return &cams.Error{Op: "CreateInstance", Sent: true, Status: status, Code: code, RequestID: "R-1"}
}

func TestAPlainJobIsCreatedInOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
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
		d := newDesk(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
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
			d := newDesk(t)
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
	d := newDesk(t)
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
			d := newDesk(t, answering(tt.answer))
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
		d := newDesk(t, answering(&cams.Error{Err: errors.New("connection refused")}), config(func(c *worker.Config) { c.MaxTries = 3 }))
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
		d := newDesk(t, config(func(c *worker.Config) { c.MaxAge, c.MaxTries = time.Hour, 1_000_000 }),
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

func TestManyRefusalsAtOnceAreOneRefusalOfTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, creating(func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error) {
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
		d := newDesk(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
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
		begin := time.Now()
		for take() < len(jobs) {
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took > 306*time.Second {
			t.Errorf("all were created %v after the account was well, want right after the next probe", took)
		}
		want(t, "the lane is tripped", d.breaker.tripped("acme"), false)
	})
}

// A probe whose answer says nothing of the account leaves it to the next one.
func TestAProbeThatProvesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []*cams.Error{said(403, "NoPermission"), said(400, "Throttling.User"), nil}
		d := newDesk(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
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
			d := newDesk(t, answering(said(400, code)), config(func(c *worker.Config) { c.Lanes[0].Renew = func() { got++ } }))
			d.ledger.put(queued())
			_, _ = d.turn(t)
			want(t, "Renew calls", got, drops)
		})
	}
}

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
			d := newDesk(t, config(func(c *worker.Config) { c.OnExisting = tt.existing }))
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
		d := newDesk(t, answering(noAnswer()), config(func(c *worker.Config) { c.OnExisting, c.OnNotFound = worker.ExistingCreate, worker.NotFoundHold }))
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
			d := newDesk(t)
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
			d := newDesk(t, config(func(c *worker.Config) { c.OnNotFound = absent }))
			d.ledger.put(called(tasks.StateUncertain, 0))
			begin := time.Now()
			for d.job(t).State == tasks.StateUncertain {
				_, err := d.turn(t)
				if err != nil {
					time.Sleep(later(t, err))
				}
			}
			if took := time.Since(begin); took < 3*time.Minute {
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
				d := newDesk(t, finding(func(context.Context, *cams.Search) (bool, error) { return false, tt.answer }),
					config(func(c *worker.Config) { c.SettleWindow = 3 * time.Second }))
				r := queued()
				if state == tasks.StateUncertain {
					r = called(state, 0)
				}
				d.ledger.put(r)
				begin, tries := time.Now(), r.Tries
				for time.Since(begin) < time.Hour {
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

func TestJobsOfOneNameDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, config(func(c *worker.Config) { c.OnExisting = worker.ExistingCreate }))
		other := queued()
		other.ID = "job-0"
		if _, err := d.ledger.Claim(t.Context(), other); err != nil {
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
			d := newDesk(t)
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
		d := newDesk(t, func(d *desk, c *worker.Config) {
			d.create.wait = func(ctx context.Context) error { // another turn comes first while this one waits
				r, _ := d.ledger.Get(ctx, job1)
				_, err := d.ledger.Step(ctx, r, tasks.StepBegin, 30*time.Second)
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
		d := newDesk(t, stepping(func(next stepFunc) stepFunc {
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
		d := newDesk(t, func(d *desk, c *worker.Config) {
			c.Store = ledgerFuncs{d.ledger, func(next stepFunc) stepFunc {
				return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
					r, err := next(ctx, r, by, due)
					if by == tasks.StepBegin {
						time.Sleep(5 * time.Second) // the mark is there, and Redis is slow to say so
					}
					return r, err
				}
			}}
			c.Lanes[0].API = apiFuncs{shelf: d.cloud, create: func(ctx context.Context, _ cams.CreateInstanceRequest) (cams.Instance, error) {
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
		d := newDesk(t, func(d *desk, c *worker.Config) {
			c.Lanes[0].API = apiFuncs{shelf: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
				cancel() // the lease is lost
				return d.cloud.CreateInstance(ctx, q)
			}}
		})
		d.ledger.put(queued())
		noError(t, d.Process(ctx, job1))
		want(t, "state", d.job(t).State, tasks.StateCreated)
	})
}

// TestASuccessIsRecordedWhereverTheJobStands: settling came late, and another
// turn has judged meanwhile.
func TestASuccessIsRecordedWhereverTheJobStands(t *testing.T) {
	tests := []struct {
		name     string
		judged   []tasks.Step
		instance string // what the other turn found
		state    tasks.State
		orphan   bool // the instance is only in the log
	}{
		{"uncertain", []tasks.Step{tasks.StepAmbiguous}, "", tasks.StateCreated, false},
		{"found already", []tasks.Step{tasks.StepAmbiguous, tasks.StepFound}, "1000", tasks.StateCreated, false},
		{"queued again", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent}, "", tasks.StateCreated, false},
		{"held", []tasks.Step{tasks.StepAmbiguous, tasks.StepUnfound}, "", tasks.StateCreated, false},
		{"on the wire again", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent, tasks.StepBegin}, "", tasks.StateCalling, true},
		{"given up", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent, tasks.StepSpent}, "", tasks.StateFailed, true},
		{"created with another instance", []tasks.Step{tasks.StepAmbiguous, tasks.StepFound}, "7", tasks.StateCreated, true},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newDesk(t, func(d *desk, c *worker.Config) {
				c.Lanes[0].API = apiFuncs{shelf: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
					i, err := d.cloud.CreateInstance(ctx, q)
					r, _ := d.ledger.Get(ctx, job1)
					for _, by := range tt.judged {
						if by == tasks.StepFound {
							r.Instance, r.Adopted = &tasks.EventInstance{InstanceID: tt.instance}, true
						}
						var stepErr error
						if r, stepErr = d.ledger.Step(ctx, r, by, 0); stepErr != nil {
							t.Error(stepErr)
						}
					}
					return i, err
				}}
			})
			d.ledger.put(queued())
			r, err := d.turn(t)
			want(t, "state", r.State, tt.state)
			want(t, "the instance is in the log", strings.Contains(d.log.String(), "instance_id=1000"), tt.orphan)
			if tt.orphan {
				later(t, err)
				return
			}
			noError(t, err)
			want(t, "instance, code", []any{r.Instance.InstanceID, r.Code}, []any{"1000", map[bool]string{true: "", false: "OK"}[tt.instance != ""]})
		})
	}
}

func TestAnInstanceThatAnotherJobHasParksTheJob(t *testing.T) {
	tests := []struct {
		name   string
		judged []tasks.Step
		dies   tasks.Step // the worker cannot write this step
	}{
		{"at once", nil, ""},
		{"after another turn was in doubt", []tasks.Step{tasks.StepAmbiguous}, ""},
		{"after another turn found nothing", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent}, ""},
		{"and the turn dies half way", nil, tasks.StepSeveral},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			died := false
			d := newDesk(t, stepping(func(next stepFunc) stepFunc {
				return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
					if by == tt.dies && !died {
						died = true
						return tasks.Record{}, tasks.ErrConflict
					}
					return next(ctx, r, by, due)
				}
			}), func(d *desk, c *worker.Config) {
				c.Lanes[0].API = apiFuncs{shelf: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
					i, err := d.cloud.CreateInstance(ctx, q)
					d.ledger.instances[i.InstanceID] = "job-0"
					r, _ := d.ledger.Get(ctx, job1)
					for _, by := range tt.judged {
						r, _ = d.ledger.Step(ctx, r, by, 0)
					}
					return i, err
				}}
			})
			d.ledger.put(queued())
			r := d.toEnd(t)
			want(t, "state, candidates, instance", []any{r.State, r.Candidates, r.Instance}, []any{tasks.StateHeld, []string{"1000"}, (*tasks.EventInstance)(nil)})
			want(t, "creates", d.cloud.creates, 1)
			want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
		})
	}
}

func TestACallbackIsOwedExactlyWhereThereIsSomebodyToTell(t *testing.T) {
	tests := []struct {
		name      string
		lane, job string
		owed      bool
	}{
		{"nobody", "", "", false},
		{"the account's receiver", "https://example.com/a", "", true},
		{"the job's own", "", "https://example.com/j", true},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newDesk(t, config(func(c *worker.Config) { c.Lanes[0].CallbackURL = tt.lane }))
			r := queued()
			r.CallbackURL = tt.job
			d.ledger.put(r)
			r, err := d.turn(t)
			noError(t, err)
			want(t, "owed, queued", []bool{r.Callback.State == tasks.CallbackOwed, len(d.callbacks.all()) == 1}, []bool{tt.owed, tt.owed})
		})
	}
}

func TestACallbackThatCannotBeQueuedIsQueuedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.callbacks.err = errors.New("redis: connection lost")
		d.ledger.put(queued())
		r, err := d.turn(t)
		want(t, "state", r.State, tasks.StateCreated)
		later(t, err)
		d.callbacks.err = nil
		d.toEnd(t)
		want(t, "creates", d.cloud.creates, 1)
		want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
	})
}

func TestNothingPersonalIsKeptOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := said(400, "InvalidParameter")
		answer.Message = "ContactMail ana@example.com of 1 Main St is not valid"
		d := newDesk(t, answering(answer))
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "message", r.Message, "ContactMail [redacted] of [redacted] is not valid")
		for _, private := range []string{"ana@example.com", "1 Main St"} {
			if strings.Contains(d.log.String(), private) {
				t.Errorf("the log holds %q:\n%s", private, d.log)
			}
		}
	})
}

// TestADrainingWorkerBeginsNoCall stops a worker at each wait of a turn.
func TestADrainingWorkerBeginsNoCall(t *testing.T) {
	for _, at := range []string{"before the baseline", "before the call", "with the last slot"} {
		bubble(t, at, func(t *testing.T) {
			d := newDesk(t, func(d *desk, _ *worker.Config) {
				hang := func(ctx context.Context) error {
					d.Drain()
					<-ctx.Done()
					return ctx.Err()
				}
				switch at {
				case "before the baseline":
					d.list.wait = hang
				case "before the call":
					d.create.wait = hang
				default:
					d.create.wait = func(ctx context.Context) error {
						_ = hang(ctx)
						return nil
					}
				}
			})
			d.ledger.put(queued())
			r, err := d.turn(t)
			want(t, "wait", later(t, err), 0)
			want(t, "state, tries, creates", []any{r.State, r.Tries, d.cloud.creates}, []any{tasks.StateQueued, 0, 0})
		})
	}
}

// Another turn of the prober's job, such as a task that came twice, neither ends
// the probe nor keeps the lane tripped.
func TestATurnBesideTheProbersLeavesTheProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := true
		d := newDesk(t, creating(func(_ context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
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
