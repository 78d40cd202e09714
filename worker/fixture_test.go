package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// fixture is a worker with everything around it in fakeStore.
type fixture struct {
	*worker.Worker
	ledger       *fakeStore
	cloud        *fakeAPI
	create, list *fakeLimiter
	callbacks    *fakeQueue
	breaker      *fakeBreaker
	log          *lockedBuffer

	mu       sync.Mutex
	attempts []tasks.Attempt
	finishes []tasks.Finish
	looks    []string
}

// ledgerFuncs, apiFuncs: a fixture's own, with some methods replaced.
type ledgerFuncs struct {
	*fakeStore
	step func(next stepFunc) stepFunc
}

type stepFunc func(context.Context, tasks.Record, tasks.Step, time.Duration) (tasks.Record, error)

func (l ledgerFuncs) Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	return l.step(l.fakeStore.Transition)(ctx, r, by, due)
}

type apiFuncs struct {
	*fakeAPI
	create func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error)
	find   func(context.Context, *cams.Search) (bool, error)
}

func (a apiFuncs) CreateInstance(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
	if a.create != nil {
		return a.create(ctx, q)
	}
	return a.fakeAPI.CreateInstance(ctx, q)
}

func (a apiFuncs) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
	if a.find != nil {
		return a.find(ctx, q)
	}
	return a.fakeAPI.SearchPage(ctx, q)
}

// newFixture makes a fixture; each change is made to its configuration before it opens.
func newFixture(t *testing.T, changes ...func(*fixture, *worker.Config)) *fixture {
	t.Helper()
	d := &fixture{
		ledger: newFakeStore(), cloud: new(fakeAPI), create: new(fakeLimiter), list: new(fakeLimiter),
		callbacks: new(fakeQueue), breaker: new(fakeBreaker), log: new(lockedBuffer),
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

func (d *fixture) note(event func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	event()
}

// creating replaces the cloud's CreateInstance.
func creating(f func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error)) func(*fixture, *worker.Config) {
	return func(d *fixture, c *worker.Config) { c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: f} }
}

// answering makes every create end with the error.
func answering(err *cams.Error) func(*fixture, *worker.Config) {
	return creating(func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error) { return cams.Instance{}, err })
}

func finding(f func(context.Context, *cams.Search) (bool, error)) func(*fixture, *worker.Config) {
	return func(d *fixture, c *worker.Config) { c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, find: f} }
}

func stepping(f func(next stepFunc) stepFunc) func(*fixture, *worker.Config) {
	return func(d *fixture, c *worker.Config) { c.Store = ledgerFuncs{d.ledger, f} }
}

func config(f func(*worker.Config)) func(*fixture, *worker.Config) {
	return func(_ *fixture, c *worker.Config) { f(c) }
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

func (d *fixture) job(t *testing.T) tasks.Record {
	t.Helper()
	r, err := d.ledger.Get(t.Context(), job1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// turn takes one turn of job-1 and returns how the job then stands.
func (d *fixture) turn(t *testing.T) (tasks.Record, error) {
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
func (d *fixture) toEnd(t *testing.T) tasks.Record {
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
