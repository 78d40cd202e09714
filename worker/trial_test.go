package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// fault is what befalls one step of a turn: a word to Redis or to the API.
type fault uint8

const (
	fine             fault = iota
	failed                 // the step fails, and did not happen
	failedDone             // the step fails, and did happen
	failedLate             // the step fails, and happens later: it lies in a socket
	diedBefore             // the process dies before the step
	diedAfter              // the process dies after it
	frozenBefore           // the process stands still for an hour before the step
	frozenAfter            // and after it
	redeliveredThere       // all is well, and the task is delivered a second time meanwhile
	faultCount
)

var faultNames = [faultCount]string{"fine", "failed", "failed but done", "failed and done late", "died before", "died after", "frozen before", "frozen after", "redelivered"}

func (m fault) String() string { return faultNames[m] }

// listing is how the API lists instances.
type listing uint8

const (
	listPrompt listing = iota
	listLate           // a new instance is listed after half a minute, well within the settle window
	listBroken         // the first five lists fail
	listUpper          // names are kept in upper case
	listCut            // and here the first three letters of them, with a number
	listings
)

func (l listing) String() string {
	return [listings]string{"prompt", "late", "broken", "upper case", "cut off"}[l]
}

func (l listing) fakeAPI() *fakeAPI {
	switch l {
	case listLate:
		return &fakeAPI{lag: 30 * time.Second}
	case listBroken:
		return &fakeAPI{broken: 5}
	case listUpper:
		return &fakeAPI{store: strings.ToUpper}
	case listCut:
		return &fakeAPI{store: func(name string) string { return name[:3] + "~1" }}
	case listPrompt, listings:
	}
	return new(fakeAPI)
}

// trial is one job, or some, and the processes that take its turns. The first
// process meets the faults, in the order of its steps; the others meet none.
type trial struct {
	t         *testing.T
	ledger    *fakeStore
	cloud     *fakeAPI
	callbacks *fakeQueue
	breaker   *fakeBreaker
	// jobs are driven together. Defaults to job1 alone.
	jobs     []tasks.Ref
	existing worker.OnExisting
	list     listing
	// atOnce has the task delivered again while the process that met a fault goes
	// on, or just after it died; else that happens once that process is done.
	atOnce bool

	mu       sync.Mutex
	schedule []fault
	step     int
	begun    []string
	dead     bool
	die      func() // ends what the first process still does
	others   sync.WaitGroup
}

// meet runs one step of the first process.
func (x *trial) meet(name string, do func(late bool)) (ok bool) {
	x.mu.Lock()
	if x.dead {
		x.mu.Unlock()
		return false
	}
	m := fine
	if x.step < len(x.schedule) {
		m = x.schedule[x.step]
	}
	x.step++
	x.begun = append(x.begun, name)
	x.dead = m == diedBefore || m == diedAfter
	if x.dead {
		x.die()
	}
	x.mu.Unlock()

	if m == frozenBefore {
		x.again()
		time.Sleep(time.Hour)
	}
	switch m {
	case failed, diedBefore:
	case failedLate:
		x.others.Go(func() {
			time.Sleep(late)
			do(true)
		})
	default:
		do(false)
	}
	if m == redeliveredThere || x.atOnce && m != fine {
		x.again()
	}
	if m == frozenAfter {
		x.again()
		time.Sleep(time.Hour)
	}
	return m != failed && m != failedDone && m != failedLate && m != diedBefore && m != diedAfter
}

// again delivers the task to another process.
func (x *trial) again() {
	x.others.Go(func() { x.drive(x.process(false)) })
}

// faulty is what the first process has instead of Redis and the API.
type faulty struct{ *trial }

var errLost = errors.New("the connection was lost")

func lostAnswer() error { return &cams.Error{Op: "call", Sent: true, Err: errLost} }

// The jobs of the trial are in no batch.
func (f faulty) Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error) {
	return f.ledger.Completion(ctx, ref)
}

func (f faulty) UpdateCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error {
	return f.ledger.UpdateCompletion(ctx, c, to)
}

func (f faulty) Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error) {
	return meeting(f, "get", tasks.Record{}, func(bool) (tasks.Record, error) { return f.ledger.Get(ctx, ref) })
}

func (f faulty) Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	made, err := f.ledger.intend(r, by)
	if err != nil {
		return tasks.Record{}, err
	}
	return meeting(f, string(by), made, func(late bool) (tasks.Record, error) { return f.ledger.write(lasting(ctx, late), r, made, due) })
}

func (f faulty) UpdateProgress(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error) {
	made, _ := f.ledger.intend(r, "")
	return meeting(f, "note", made, func(late bool) (tasks.Record, error) { return f.ledger.write(lasting(ctx, late), r, made, due) })
}

func (f faulty) LockName(ctx context.Context, r tasks.Record) (string, error) {
	return meeting(f, "claim", "", func(bool) (string, error) { return f.ledger.LockName(ctx, r) })
}

func (f faulty) Taken(ctx context.Context, r tasks.Record, keys []string) (map[string]bool, error) {
	return meeting(f, "taken", nil, func(bool) (map[string]bool, error) { return f.ledger.Taken(ctx, r, keys) })
}

func (f faulty) Claimed(ctx context.Context, r tasks.Record, ids []string) (map[string]bool, error) {
	return meeting(f, "claimed", nil, func(bool) (map[string]bool, error) { return f.ledger.Claimed(ctx, r, ids) })
}

func (f faulty) CreateInstance(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
	i, err := meeting(f, "CreateInstance", cams.Instance{}, func(late bool) (cams.Instance, error) {
		return f.cloud.CreateInstance(lasting(ctx, late), q)
	})
	if errors.Is(err, errLost) {
		err = lostAnswer()
	}
	return i, err
}

func (f faulty) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
	done, err := meeting(f, "ListInstance", false, func(late bool) (bool, error) {
		if late {
			return false, nil // reads, and changes nothing
		}
		return f.cloud.SearchPage(ctx, q)
	})
	if errors.Is(err, errLost) {
		err = lostAnswer()
	}
	return done, err
}

// lasting is the context of a command, which no longer ends once it is in a socket.
func lasting(ctx context.Context, late bool) context.Context {
	if late {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// meeting runs one step of the first process and returns what it returns, or lost and
// errLost.
func meeting[T any](f faulty, name string, lost T, do func(late bool) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	came := make(chan result, 1) // what comes late is not read
	ok := f.meet(name, func(late bool) {
		value, err := do(late)
		came <- result{value, err}
	})
	if !ok {
		return lost, errLost
	}
	r := <-came
	return r.value, r.err
}

func (f faulty) Wait(ctx context.Context) (time.Duration, error) {
	if !f.meet("wait", func(bool) {}) {
		return 0, errLost
	}
	return 0, ctx.Err()
}

func (f faulty) WaitUrgent(ctx context.Context) (time.Duration, error) { return f.Wait(ctx) }

func (f faulty) Throttled(context.Context, time.Duration) error { return nil }

func (f faulty) SetRate(float64) {}

func (f faulty) Trip(ctx context.Context, id tasks.ProbeID, t tasks.Trip, next time.Duration) error {
	if !f.meet("trip", func(bool) { _ = f.breaker.Trip(ctx, id, t, next) }) {
		return errLost
	}
	return nil
}

func (f faulty) Probe(ctx context.Context, id tasks.ProbeID, d time.Duration) (ok bool, wait time.Duration, err error) {
	type answer struct {
		ok   bool
		wait time.Duration
	}
	a, err := meeting(f, "probe", answer{}, func(bool) (answer, error) {
		ok, wait, err := f.breaker.Probe(ctx, id, d)
		return answer{ok, wait}, err
	})
	return a.ok, a.wait, err
}

func (f faulty) CloseBreaker(ctx context.Context, id tasks.ProbeID) error {
	if !f.meet("untrip", func(bool) { _ = f.breaker.CloseBreaker(ctx, id) }) {
		return errLost
	}
	return nil
}

func (f faulty) AbortProbe(ctx context.Context, id tasks.ProbeID, next time.Duration) error {
	if !f.meet("unprobe", func(bool) { _ = f.breaker.AbortProbe(ctx, id, next) }) {
		return errLost
	}
	return nil
}

func (f faulty) Callback(ctx context.Context, ref tasks.Ref) error {
	if !f.meet("callback", func(bool) { _ = f.callbacks.Callback(ctx, ref) }) {
		return errLost
	}
	return nil
}

func (f faulty) BatchCallback(ctx context.Context, ref tasks.BatchRef) error {
	if !f.meet("callback of the batch", func(bool) { _ = f.callbacks.BatchCallback(ctx, ref) }) {
		return errLost
	}
	return nil
}

// process returns a worker, and whether its faults are to be met.
func (x *trial) process(first bool) (w *worker.Worker, dead func() bool) {
	c := worker.Config{
		Lanes: []worker.Lane{{
			Account: "acme", API: x.cloud, Create: new(fakeLimiter), List: new(fakeLimiter), CallbackURL: "https://example.com/hook",
		}},
		Store: x.ledger, Queue: x.callbacks, Breaker: x.breaker, OnExisting: x.existing,
	}
	if first {
		f := faulty{x}
		c.Store, c.Queue, c.Breaker = f, f, f
		c.Lanes[0].API, c.Lanes[0].Create, c.Lanes[0].List = f, f, f
	}
	w, err := worker.New(c)
	if err != nil {
		x.t.Fatal(err)
	}
	if first {
		x.die = w.Drain
	}
	return w, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return first && x.dead
	}
}

// drive takes turns as the queue would, until every job is done with or the
// process is dead.
func (x *trial) drive(w *worker.Worker, dead func() bool) {
	if x.jobs == nil {
		x.driveOne(w, dead, job1)
		return
	}
	var jobs sync.WaitGroup
	for _, ref := range x.jobs {
		jobs.Go(func() { x.driveOne(w, dead, ref) })
	}
	jobs.Wait()
}

func (x *trial) driveOne(w *worker.Worker, dead func() bool, ref tasks.Ref) {
	for range 1000 {
		err := w.Process(x.t.Context(), ref)
		if err == nil || dead() {
			return
		}
		wait := time.Second
		if l, ok := errors.AsType[*worker.SnoozeError](err); ok {
			wait += l.For
		}
		time.Sleep(wait)
	}
	x.t.Errorf("%s: the job does not end", x)
}

// run takes the job to its end and holds the result against the promise.
func (x *trial) run() {
	t := x.t
	t.Helper()
	x.ledger, x.cloud, x.callbacks, x.breaker = newFakeStore(), x.list.fakeAPI(), new(fakeQueue), new(fakeBreaker)
	x.ledger.put(queued())
	x.drive(x.process(true))
	x.drive(x.process(false))
	x.others.Wait()

	r, err := x.ledger.Get(t.Context(), job1)
	if err != nil {
		t.Fatal(err)
	}
	made := x.cloud.made("shop")
	if made > 1 {
		t.Errorf("%s: %d instances were made", x, made)
	}
	// Each fault alone, and all of them together, leave a way to success; but where the
	// API keeps another name, an instance whose answer was lost is left to an operator.
	if x.list >= listExact && r.State == tasks.StateHeld {
		if made != 1 || r.Code != tasks.CodeNearMatch || !slices.Equal(r.Candidates, []string{"1000"}) {
			t.Errorf("%s: the job is held (%s) with the candidates %q, and there are %d instances", x, r.Code, r.Candidates, made)
		}
	} else if r.State != tasks.StateCreated || r.Instance == nil || made != 1 {
		t.Errorf("%s: the job is %s (%s) with the instance %v, and there are %d", x, r.State, r.Code, r.Instance, made)
	}
	if r.Callback.State != tasks.CallbackOwed || x.callbacks.all()[job1] == 0 {
		t.Errorf("%s: the callback is %q and was queued %d times", x, r.Callback.State, x.callbacks.all()[job1])
	}
	if holder := x.ledger.names[r.Request.NameKey()]; holder != "" && holder != r.ID {
		t.Errorf("%s: the name is held by %q", x, holder)
	}
}

// String says what the first process met.
func (x *trial) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var s string
	for i, name := range x.begun {
		if i < len(x.schedule) && x.schedule[i] != fine {
			s += fmt.Sprintf("%s at step %d (%s), ", x.schedule[i], i+1, name)
		}
	}
	return fmt.Sprintf("%sat once %t, list %s", s, x.atOnce, x.list)
}
