package operate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

const account = "acme"

// fixture is an operator with a ledger and a queue in Redis.
type fixture struct {
	operate.Operator
	t      *testing.T
	rdb    redis.UniversalClient
	client *enqueue.Client
	queue  *queue.Client
	ledger *ledger.Ledger
}

func newFixture(t *testing.T, rdb redis.UniversalClient) *fixture {
	t.Helper()
	ring, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	o := &fixture{t: t, rdb: rdb}
	if o.ledger, err = ledger.New(ledger.Config{Redis: rdb, Keys: ring}); err != nil {
		t.Fatal(err)
	}
	if o.queue, err = queue.New(rdb, o.ledger); err != nil {
		t.Fatal(err)
	}
	if o.client, err = enqueue.NewOn(o.queue, enqueue.Config{}); err != nil {
		t.Fatal(err)
	}
	o.Operator = operate.Operator{Store: o.ledger, Queue: o.queue, Lanes: o.ledger}
	return o
}

// place makes a job and brings it to a state. Its task is gone then, as if a
// worker had done it.
func (o *fixture) place(id string, to tasks.State, change ...func(*tasks.Record)) tasks.Ref {
	o.t.Helper()
	ways := map[tasks.State][]tasks.Step{
		tasks.StateQueued:    nil,
		tasks.StateCalling:   {tasks.StepBegin},
		tasks.StateUncertain: {tasks.StepBegin, tasks.StepAmbiguous},
		tasks.StateHeld:      {tasks.StepBegin, tasks.StepAmbiguous, tasks.StepSeveral},
		tasks.StateCreated:   {tasks.StepBegin, tasks.StepSucceeded},
		tasks.StateFailed:    {tasks.StepBegin, tasks.StepRejected},
		tasks.StateCancelled: {tasks.StepCancel},
	}
	_, err := o.client.Create(o.t.Context(), tasks.Job{
		ID: id, Account: account, Request: tasks.Request{ChannelType: "VIBER", InstanceName: id},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	for i, by := range ways[to] {
		r := o.get(id)
		if i == len(ways[to])-1 {
			for _, c := range change {
				c(&r)
			}
		}
		if _, err := o.ledger.Transition(o.t.Context(), r, by, 0); err != nil {
			o.t.Fatal(err)
		}
	}
	for _, queue := range []string{tasks.ProvisionQueue(account), tasks.QueueCallback} {
		keys, err := o.rdb.Keys(o.t.Context(), "asynq:{"+queue+"}*").Result()
		if err != nil {
			o.t.Fatal(err)
		}
		if len(keys) > 0 {
			o.rdb.Del(o.t.Context(), keys...)
		}
	}
	return tasks.Ref{Account: account, ID: id}
}

func (o *fixture) get(id string) tasks.Record {
	o.t.Helper()
	r, err := o.ledger.Get(o.t.Context(), tasks.Ref{Account: account, ID: id})
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// pending are the tasks of a queue.
func (o *fixture) pending(queue string) []string {
	o.t.Helper()
	ids, err := o.rdb.LRange(o.t.Context(), "asynq:{"+queue+"}:pending", 0, -1).Result()
	if err != nil {
		o.t.Fatal(err)
	}
	return ids
}

func TestADecisionAppliesOnlyWhereTheJobWaitsForOne(t *testing.T) {
	resolve := func(d operate.Decision) func(*fixture, tasks.Ref) error {
		return func(o *fixture, ref tasks.Ref) error {
			_, err := o.Resolve(o.t.Context(), ref, d)
			return err
		}
	}
	decisions := map[string]struct {
		decide func(*fixture, tasks.Ref) error
		from   tasks.State
		to     tasks.State
	}{
		"retry":           {func(o *fixture, ref tasks.Ref) error { return o.Retry(o.t.Context(), operate.Job(ref))[0] }, tasks.StateFailed, tasks.StateQueued},
		"cancel":          {func(o *fixture, ref tasks.Ref) error { return o.Cancel(o.t.Context(), operate.Job(ref))[0] }, tasks.StateQueued, tasks.StateCancelled},
		"resolve created": {resolve(operate.Decision{By: tasks.StepResolveCreated, InstanceID: "i-1"}), tasks.StateHeld, tasks.StateCreated},
		"resolve absent":  {resolve(operate.Decision{By: tasks.StepResolveAbsent}), tasks.StateHeld, tasks.StateQueued},
		"resolve failed":  {resolve(operate.Decision{By: tasks.StepResolveFailed}), tasks.StateHeld, tasks.StateFailed},
	}
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for name, tt := range decisions {
			for _, from := range tasks.States() {
				c.FlushDB(t.Context())
				o := newFixture(t, c)
				ref := o.place("job-1", from)
				before := o.get("job-1")
				err := tt.decide(o, ref)
				after := o.get("job-1")
				if from == tt.from {
					if err != nil || after.State != tt.to {
						t.Errorf("%s of a job that is %s: %v, it is %s then; want %s", name, from, err, after.State, tt.to)
					}
					if queued := len(o.pending(tasks.ProvisionQueue(account))) == 1; queued != (tt.to == tasks.StateQueued) {
						t.Errorf("%s: a task is queued: %t", name, queued)
					}
					continue
				}
				if refused, ok := errors.AsType[*operate.RefusedError](err); !ok || refused.Target.Ref != ref || !strings.Contains(err.Error(), string(from)) {
					t.Errorf("%s of a job that is %s: %v, want a refusal that says where it stands", name, from, err)
				}
				if after.Version != before.Version {
					t.Errorf("%s of a job that is %s was refused, and wrote", name, from)
				}
			}
		}
		o := newFixture(t, c)
		for name, err := range map[string]error{
			"retry":   o.Retry(t.Context(), operate.Job(tasks.Ref{Account: account, ID: "nobody"}))[0],
			"resolve": resolve(operate.Decision{By: tasks.StepResolveFailed})(o, tasks.Ref{Account: account, ID: "nobody"}),
		} {
			if !errors.Is(err, tasks.ErrNotFound) {
				t.Errorf("%s of no job: %v", name, err)
			}
		}
	})
}

func TestADecisionThatIsNoneChangesNothing(t *testing.T) {
	_, c := redistest.Mini(t)
	o := newFixture(t, c)
	ref := o.place("job-1", tasks.StateHeld)
	for _, d := range []operate.Decision{{}, {By: tasks.StepResolveCreated}, {By: tasks.StepRetried, InstanceID: "i-1"}} {
		if _, err := o.Resolve(t.Context(), ref, d); err == nil {
			t.Errorf("%+v was taken", d)
		}
	}
	want(t, "state", o.get("job-1").State, tasks.StateHeld)
}

func TestWhatAPersonKnowsIsRecorded(t *testing.T) {
	held := func(r *tasks.Record) {
		r.Code, r.Candidates, r.Baseline, r.Doubted = tasks.CodeSeveral, []string{"i-1", "i-2"}, &[]string{"i-0"}, true
		r.Tries, r.FirstTry, r.Lookups = 7, time.Now().Add(-72*time.Hour), 9
	}
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		o := newFixture(t, c)
		var finishes []tasks.Finish
		o.OnFinish = func(f tasks.Finish) { finishes = append(finishes, f) }

		ref := o.place("made", tasks.StateHeld, held)
		r, err := o.Resolve(t.Context(), ref, operate.Decision{By: tasks.StepResolveCreated, InstanceID: "i-2", Note: "seen in the console"})
		noError(t, err)
		want(t, "instance", r.Instance, &tasks.EventInstance{InstanceID: "i-2", InstanceName: "made", ChannelType: "VIBER"})
		want(t, "adopted, code, message", []any{r.Adopted, r.Code, r.Message}, []any{true, "OK", "resolved by an operator: seen in the console"})

		ref = o.place("given-up", tasks.StateHeld, held)
		r, err = o.Resolve(t.Context(), ref, operate.Decision{By: tasks.StepResolveFailed})
		noError(t, err)
		want(t, "code, message", []any{r.Code, r.Message}, []any{tasks.CodeResolved, "given up by an operator"})

		// It was held for longer than the budget of time: without another it would fail at once.
		ref = o.place("absent", tasks.StateHeld, held)
		_, err = o.Resolve(t.Context(), ref, operate.Decision{By: tasks.StepResolveAbsent})
		noError(t, err)
		r = o.get("absent")
		want(t, "progress", r.Progress, tasks.Progress{
			Baseline: &[]string{"i-1", "i-2", "i-0"}, Doubted: true, Vouched: true,
			Code: tasks.CodeResolved, Message: "an operator found no instance of it",
		})
		want(t, "it is looked up before it calls", r.LookupFirst(), true)
		want(t, "finishes", len(finishes), 2)
	})
}

func TestAnInstanceIsResolvedToOneJob(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		o := newFixture(t, c)
		d := operate.Decision{By: tasks.StepResolveCreated, InstanceID: "i-1"}
		_, err := o.Resolve(t.Context(), o.place("first", tasks.StateHeld), d)
		noError(t, err)
		_, err = o.Resolve(t.Context(), o.place("second", tasks.StateHeld), d)
		if !errors.Is(err, tasks.ErrClaimed) || !strings.Contains(err.Error(), "acme/first") || !strings.Contains(err.Error(), "i-1") {
			t.Errorf("Resolve: %v; want ErrClaimed, the instance and its job", err)
		}
		want(t, "state", o.get("second").State, tasks.StateHeld)
	})
}

func TestTheOutcomeOfADecisionIsOwedWhereThereIsSomebodyToTell(t *testing.T) {
	tests := map[string]struct {
		receiver string
		callback tasks.CallbackState // how far the held outcome was told
		owed     bool
	}{
		"nobody":                              {"", tasks.CallbackNone, false},
		"the account has a receiver":          {"https://example.com", tasks.CallbackNone, true},
		"this process does not know whom":     {"", tasks.CallbackDelivered, true},
		"nobody took the last outcome either": {"", tasks.CallbackDead, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, c := redistest.Mini(t)
			o := newFixture(t, c)
			o.Receiver = func(name string) string {
				want(t, "account", name, account)
				return tt.receiver
			}
			ref := o.place("job-1", tasks.StateHeld, func(r *tasks.Record) { r.Callback.State = tt.callback })
			_, err := o.Resolve(t.Context(), ref, operate.Decision{By: tasks.StepResolveFailed})
			noError(t, err)
			want(t, "owed", o.get("job-1").Callback == tasks.CallbackProgress{State: tasks.CallbackOwed}, tt.owed)
			want(t, "queued", len(o.pending(tasks.QueueCallback)) == 1, tt.owed)
		})
	}
}

func TestWhatIsTakenBackIsNoLongerOwed(t *testing.T) {
	_, c := redistest.Mini(t)
	o := newFixture(t, c)
	owed := func(r *tasks.Record) { r.Callback = tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 8} }
	noError(t, o.Retry(t.Context(), operate.Job(o.place("failed", tasks.StateFailed, owed)))[0])
	_, err := o.Resolve(t.Context(), o.place("held", tasks.StateHeld, owed), operate.Decision{By: tasks.StepResolveAbsent})
	noError(t, err)
	for _, id := range []string{"failed", "held"} {
		want(t, id, o.get(id).Callback, tasks.CallbackProgress{})
	}
	overview, err := o.ledger.Overview(t.Context(), account)
	noError(t, err)
	want(t, "dead callbacks", overview.DeadCallbacks, 0)
}

func TestOnlyACallbackThatWasGivenUpIsReplayed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		o := newFixture(t, c)
		for _, s := range append(tasks.CallbackStates(), tasks.CallbackNone) {
			id := "job-" + string(s)
			ref := o.place(id, tasks.StateCreated, func(r *tasks.Record) {
				r.Callback = tasks.CallbackProgress{State: s, Tries: 8, Reason: tasks.ReasonTimeout}
			})
			err := o.Replay(t.Context(), operate.Job(ref))[0]
			if s == tasks.CallbackDead {
				noError(t, err)
				want(t, "callback", o.get(id).Callback, tasks.CallbackProgress{State: tasks.CallbackOwed})
				want(t, "queued", o.pending(tasks.QueueCallback), []string{ref.String()})
			} else if _, ok := errors.AsType[*operate.RefusedError](err); !ok || o.get(id).Callback.State != s {
				t.Errorf("a callback that is %q: %v, it is %q then; want it refused", s, err, o.get(id).Callback.State)
			}
		}
	})
}

// meddling is a ledger in which somebody else writes first.
type meddling struct {
	operate.Store
	times int
}

func (m *meddling) Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	if m.times > 0 {
		m.times--
		if _, err := m.UpdateProgress(ctx, r, 0); err != nil {
			return r, err
		}
	}
	return m.Store.Transition(ctx, r, by, due)
}

func TestADecisionOutlastsOtherWritersButNotForever(t *testing.T) {
	for times, lost := range map[int]bool{1: false, 4: false, 5: true} {
		_, c := redistest.Mini(t)
		o := newFixture(t, c)
		o.Store = &meddling{o.ledger, times}
		err := o.Retry(t.Context(), operate.Job(o.place("job-1", tasks.StateFailed)))[0]
		if errors.Is(err, tasks.ErrConflict) != lost || lost != (o.get("job-1").State == tasks.StateFailed) {
			t.Errorf("%d writes came between: %v, the job is %s", times, err, o.get("job-1").State)
		}
	}
}

// broken is a queue that takes nothing.
type broken struct{}

func (broken) Callback(context.Context, tasks.Ref) error           { return errors.New("no queue") }
func (broken) BatchCallback(context.Context, tasks.BatchRef) error { return errors.New("no queue") }
func (broken) Provision(context.Context, string, []string) error   { return errors.New("no queue") }

func TestADecisionWhoseTaskIsNotQueuedHoldsAndASweepQueuesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		o := newFixture(t, c)
		o.Queue = broken{}
		again, made := o.place("again", tasks.StateFailed), o.place("made", tasks.StateHeld, func(r *tasks.Record) { r.Callback.State = tasks.CallbackDelivered })
		noError(t, o.Retry(t.Context(), operate.Job(again))[0])
		_, err := o.Resolve(t.Context(), made, operate.Decision{By: tasks.StepResolveCreated, InstanceID: "i-1"})
		noError(t, err)
		time.Sleep(2 * time.Minute)
		noError(t, recovery.Sweeper{Store: o.ledger, Queue: o.queue}.Sweep(t.Context(), account, false))
		want(t, "jobs", o.pending(tasks.ProvisionQueue(account)), []string{"again"})
		want(t, "callbacks", o.pending(tasks.QueueCallback), []string{made.String()})
	})
}

func TestManyJobsAreDecidedAtOnceAndEachHasItsAnswer(t *testing.T) {
	_, c := redistest.Mini(t)
	o := newFixture(t, c)
	var targets []operate.Target
	for i := range 40 {
		state := tasks.StateFailed
		if i%4 == 0 {
			state = tasks.StateCreated
		}
		targets = append(targets, operate.Job(o.place(fmt.Sprint("job-", i), state)))
	}
	for i, err := range o.Retry(t.Context(), targets...) {
		if refused, ok := errors.AsType[*operate.RefusedError](err); ok != (i%4 == 0) || ok && refused.Target != targets[i] {
			t.Errorf("%s: %v", targets[i], err)
		}
	}
	want(t, "tasks", len(o.pending(tasks.ProvisionQueue(account))), 30)
}

func TestTargets(t *testing.T) {
	_, c := redistest.Mini(t)
	o := newFixture(t, c)
	batch := operate.Completion(tasks.BatchRef{Account: account, Batch: "march", Completion: 1})
	want(t, "String", batch.String(), "acme/march#1")
	for name, errs := range map[string][]error{
		"retry":  o.Retry(t.Context(), batch),
		"cancel": o.Cancel(t.Context(), batch),
	} {
		refused, ok := errors.AsType[*operate.RefusedError](errs[0])
		if !ok || refused.Target != batch {
			t.Errorf("%s of a batch: %v, want a *RefusedError", name, errs[0])
		}
	}
	if err := o.Replay(t.Context(), batch)[0]; !errors.Is(err, tasks.ErrNotFound) {
		t.Errorf("replay of an unknown batch: %v, want tasks.ErrNotFound", err)
	}
}

func TestResolveChecksTheCandidates(t *testing.T) {
	_, c := redistest.Mini(t)
	o := newFixture(t, c)
	ref := o.place("job-1", tasks.StateHeld, func(r *tasks.Record) { r.Candidates = []string{"i-1", "i-2"} })
	d := operate.Decision{By: tasks.StepResolveCreated, InstanceID: "i-3"}
	_, err := o.Resolve(t.Context(), ref, d)
	if refused, ok := errors.AsType[*operate.NotCandidateError](err); !ok || len(refused.Candidates) != 2 {
		t.Errorf("an instance that is no candidate: %v", err)
	}
	want(t, "state", o.get("job-1").State, tasks.StateHeld)
	d.Other = true
	_, err = o.Resolve(t.Context(), ref, d)
	noError(t, err)
	want(t, "instance", o.get("job-1").Instance.InstanceID, "i-3")
}

func TestLanes(t *testing.T) {
	_, c := redistest.Mini(t)
	o := newFixture(t, c)
	lane := func() tasks.Lane {
		t.Helper()
		lanes, errs := o.ledger.Lanes(t.Context(), []string{account})
		if errs != nil {
			t.Fatal(errs)
		}
		return lanes[0]
	}
	noError(t, o.Pause(t.Context(), account, "wrong file"))
	noError(t, o.Limit(t.Context(), account, 8))
	got := lane()
	if got.Pause == nil || got.Pause.Why != "wrong file" || got.Limit != 8 {
		t.Errorf("lane: %+v, want it paused and limited", got)
	}
	noError(t, o.Resume(t.Context(), account))
	noError(t, o.Limit(t.Context(), account, 0))
	got = lane()
	if got.Pause != nil || got.Limit != 0 {
		t.Errorf("lane: %+v, want it resumed, at the configured rate", got)
	}
	if err := o.Pause(t.Context(), account, strings.Repeat("x", operate.MaxNote+1)); err == nil || lane().Pause != nil {
		t.Errorf("a reason that is too long: %v", err)
	}
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
		t.Fatal(err)
	}
}
