package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	queues "github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

const (
	account = "acme"
	queue   = "provision:acme"
)

var dataKey = enqueue.NewDataKey()

// each is redistest.Each for thousands of jobs: its miniredis has real sockets,
// which hold a long pipeline, and does not look at all keys for each command.
func each(t *testing.T, body func(t *testing.T, c redis.UniversalClient)) {
	t.Run("miniredis", func(t *testing.T) {
		c := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		t.Cleanup(func() { _ = c.Close() })
		body(t, c)
	})
	t.Run("redis", func(t *testing.T) {
		body(t, redistest.Start(t).Client())
	})
}

// client is a producer beside the queue that worker and commands use.
type client struct {
	*producer
	*backend
}

type (
	producer = enqueue.Client
	backend  = queues.Client
)

func newClient(t testing.TB, c redis.UniversalClient, keys string) client {
	t.Helper()
	return newClientWith(t, enqueue.Config{Redis: c, DataKeys: keys})
}

func newClientWith(t testing.TB, config enqueue.Config) client {
	t.Helper()
	if config.DataKeys == "" {
		config.DataKeys = dataKey
	}
	ring, err := seal.ParseKeys(config.DataKeys)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.New(ledger.Config{Redis: config.Redis, Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	q, err := queues.New(config.Redis, l)
	if err != nil {
		t.Fatal(err)
	}
	p, err := enqueue.NewOn(q, config)
	if err != nil {
		t.Fatal(err)
	}
	return client{p, q}
}

func newLedger(t testing.TB, c redis.UniversalClient) *ledger.Ledger {
	t.Helper()
	keys, err := seal.ParseKeys(dataKey)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.New(ledger.Config{Redis: c, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newJob(id string) tasks.Job {
	return tasks.Job{ID: id, Account: account, Request: tasks.Request{ChannelType: "VIBER", InstanceName: "name of " + id}}
}

func create(t testing.TB, client interface {
	Create(context.Context, tasks.Job) (enqueue.Result, error)
}, j tasks.Job, want enqueue.Status) enqueue.Result {
	t.Helper()
	got, err := client.Create(t.Context(), j)
	if got.Status != want {
		t.Fatalf("Create(%s): %q, %v; want %s", j.ID, got.Status, err, want)
	}
	return got
}

func sequence(jobs ...tasks.Job) iter.Seq2[tasks.Job, error] {
	return func(yield func(tasks.Job, error) bool) {
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}
}

// standing returns in which of asynq's lists a task stands, once for each time.
func standing(t testing.TB, c redis.UniversalClient, queue, id string) []string {
	t.Helper()
	var in []string
	for _, list := range []string{"pending", "active", "lease", "scheduled", "retry", "archived", "completed"} {
		key := "asynq:{" + queue + "}:" + list
		var ids []string
		if list == "pending" || list == "active" {
			ids = c.LRange(t.Context(), key, 0, -1).Val()
		} else {
			ids = c.ZRange(t.Context(), key, 0, -1).Val()
		}
		for _, other := range ids {
			if other == id {
				in = append(in, list)
			}
		}
	}
	return in
}

// mustWait makes sure that the task waits for a worker, and stands nowhere else.
func mustWait(t testing.TB, c redis.UniversalClient, queue, id string) {
	t.Helper()
	if got := standing(t, c, queue, id); !slices.Equal(got, []string{"pending"}) {
		t.Errorf("task %s stands in %q, want pending once", id, got)
	}
	info, err := asynq.NewInspectorFromRedisClient(c).GetTaskInfo(queue, id)
	if err != nil {
		t.Fatalf("task %s: %v", id, err)
	}
	if info.State != asynq.TaskStatePending || string(info.Payload) != id {
		t.Errorf("task %s is %s with payload %q", id, info.State, info.Payload)
	}
}

func TestEveryJobGetsItsResultInOrder(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		old := newJob("old")
		create(t, client, old, enqueue.StatusQueued)
		other := old
		other.Request.ContactMail = "new@example.com"
		broken := errors.New("row 7 cannot be read")

		var want []enqueue.Result
		queued := map[string]int{account: 1}
		jobs := func(yield func(tasks.Job, error) bool) {
			send := func(j tasks.Job, err error, status enqueue.Status, state tasks.State) bool {
				want = append(want, enqueue.Result{Job: j, Status: status, State: state})
				if status == enqueue.StatusQueued {
					queued[j.Account]++
				}
				return yield(j, err)
			}
			for i := range 1203 {
				j := newJob(fmt.Sprintf("j%04d", i))
				j.Account = []string{account, "other"}[i%2]
				var ok bool
				switch i {
				case 3: // twice in one step
					send(j, nil, enqueue.StatusQueued, tasks.StateQueued)
					ok = send(j, nil, enqueue.StatusKnown, tasks.StateQueued)
				case 10:
					j.Request.ChannelType = "SMS"
					ok = send(j, nil, enqueue.StatusInvalid, "")
				case 20:
					ok = send(old, nil, enqueue.StatusKnown, tasks.StateQueued)
				case 30:
					ok = send(other, nil, enqueue.StatusConflict, tasks.StateQueued)
				case 40:
					ok = send(j, broken, enqueue.StatusInvalid, "")
				case 1100: // twice in two steps
					j = newJob("j0000")
					ok = send(j, nil, enqueue.StatusKnown, tasks.StateQueued)
				default:
					ok = send(j, nil, enqueue.StatusQueued, tasks.StateQueued)
				}
				if !ok {
					t.Error("the sequence was stopped")
					return
				}
			}
		}
		var got []enqueue.Result
		sum, err := client.CreateAll(t.Context(), jobs, func(r enqueue.Result) { got = append(got, r) })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(enqueue.Result{}, "Err")); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		for _, r := range got {
			var invalid *tasks.InvalidError
			var conflict *enqueue.ConflictError
			switch {
			case r.Status == enqueue.StatusConflict:
				if !errors.As(r.Err, &conflict) || conflict.Ref != old.Ref() || conflict.State != tasks.StateQueued {
					t.Errorf("conflict: %#v", r.Err)
				}
			case r.Status == enqueue.StatusInvalid:
				if !errors.As(r.Err, &invalid) && !errors.Is(r.Err, broken) {
					t.Errorf("invalid: %v", r.Err)
				}
			case r.Err != nil:
				t.Errorf("%s: %v", r.Status, r.Err)
			}
		}
		if want := (enqueue.Summary{Queued: 1198, Known: 3, Conflict: 1, Invalid: 2}); sum != want {
			t.Errorf("%+v, want %+v", sum, want)
		}
		for name, n := range queued {
			pending := c.LRange(t.Context(), "asynq:{provision:"+name+"}:pending", 0, -1).Val()
			slices.Sort(pending)
			if distinct := slices.Compact(pending); len(distinct) != n || c.LLen(t.Context(), "asynq:{provision:"+name+"}:pending").Val() != int64(n) {
				t.Errorf("account %s has %d tasks pending, want %d", name, len(pending), n)
			}
			o, err := newLedger(t, c).Overview(t.Context(), name)
			if err != nil || o.Jobs[tasks.StateQueued] != int64(n) {
				t.Errorf("account %s has %v, %v; want %d queued", name, o.Jobs, err, n)
			}
		}
	})
}

func TestASummaryNeedsNobodyToListen(t *testing.T) {
	_, c := redistest.Mini(t)
	client := newClient(t, c, dataKey)
	sum, err := client.CreateAll(t.Context(), sequence(newJob("a"), newJob("a")), nil)
	if err != nil || sum != (enqueue.Summary{Queued: 1, Known: 1}) {
		t.Errorf("%+v, %v", sum, err)
	}
	if sum, err = client.CreateAll(t.Context(), sequence(), nil); err != nil || sum != (enqueue.Summary{}) {
		t.Errorf("of no jobs: %+v, %v", sum, err)
	}
}

func TestAsynqSeesTheTaskAsItsOwn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		create(t, client, newJob("a:b@c/d=e+f"), enqueue.StatusQueued)
		inspector := asynq.NewInspectorFromRedisClient(c)

		queues, err := inspector.Queues()
		if err != nil || !slices.Equal(queues, []string{queue}) {
			t.Errorf("Queues: %q, %v", queues, err)
		}
		listed, err := inspector.ListPendingTasks(queue)
		if err != nil || len(listed) != 1 {
			t.Fatalf("ListPendingTasks: %d, %v", len(listed), err)
		}
		got := *listed[0]
		want := asynq.TaskInfo{
			ID: "a:b@c/d=e+f", Queue: queue, Type: tasks.TypeCreateInstance, Payload: []byte("a:b@c/d=e+f"),
			State: asynq.TaskStatePending, MaxRetry: math.MaxInt32, Timeout: time.Hour,
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(asynq.TaskInfo{}, "NextProcessAt")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAsynqsServerRunsTheTask(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		create(t, client, newJob("a"), enqueue.StatusQueued)
		if err := client.Callback(t.Context(), newJob("a").Ref()); err != nil {
			t.Fatal(err)
		}
		server := asynq.NewServerFromRedisClient(c, asynq.Config{
			Queues: map[string]int{queue: 1, tasks.QueueCallback: 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond,
		})
		ran := make(chan string, 2)
		if err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			ran <- task.Type() + " " + string(task.Payload())
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		got := []string{<-ran, <-ran}
		server.Shutdown()
		slices.Sort(got)
		if want := []string{"callback:deliver acme/a", "instance:create a"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

func TestAJobThatEndedGetsNoTask(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client, l := newClient(t, c, dataKey), newLedger(t, c)
		create(t, client, newJob("a"), enqueue.StatusQueued)
		r, err := l.Get(t.Context(), newJob("a").Ref())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Transition(t.Context(), r, tasks.StepCancel, 0); err != nil {
			t.Fatal(err)
		}
		if err := asynq.NewInspectorFromRedisClient(c).DeleteTask(queue, "a"); err != nil {
			t.Fatal(err)
		}
		got := create(t, client, newJob("a"), enqueue.StatusKnown)
		if got.State != tasks.StateCancelled || got.Err != nil {
			t.Errorf("%+v, want it known as cancelled", got)
		}
		if keys := c.Keys(t.Context(), "asynq:{*").Val(); len(keys) != 0 {
			t.Errorf("asynq holds %q, want nothing", keys)
		}
	})
}

func TestAnotherRequestUnderTheSameIDIsRefused(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		j := newJob("a")
		j.CallbackURL, j.Metadata = "https://example.com/hook", map[string]string{"k": "v"}
		create(t, client, j, enqueue.StatusQueued)
		for name, change := range map[string]func(*tasks.Job){
			"request":  func(j *tasks.Job) { j.Request.OfficeAddress = "elsewhere 1" },
			"callback": func(j *tasks.Job) { j.CallbackURL = "" },
			"metadata": func(j *tasks.Job) { j.Metadata = map[string]string{"k": "w"} },
		} {
			other := j
			change(&other)
			got := create(t, client, other, enqueue.StatusConflict)
			if strings.Contains(got.Err.Error(), "elsewhere") {
				t.Errorf("%s: the error repeats the request: %v", name, got.Err)
			}
		}
		same := j
		same.Batch, same.Request.ChannelType = "another file", " viber "
		create(t, client, same, enqueue.StatusKnown)
		r, err := newLedger(t, c).Get(t.Context(), j.Ref())
		if err != nil || !cmp.Equal(r.Job, j) {
			t.Errorf("the record holds %+v, %v; want the first request", r.Job, err)
		}
		mustWait(t, c, queue, "a")

		elsewhere := j
		elsewhere.Account = "other"
		create(t, client, elsewhere, enqueue.StatusQueued) // IDs belong to an account
	})
}

func TestANewDataKeyDoesNotMakeTheSameRequestAnother(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		j := newJob("a")
		create(t, newClient(t, c, dataKey), j, enqueue.StatusQueued)
		next := enqueue.NewDataKey()
		rotated := newClient(t, c, next+" "+dataKey)
		create(t, rotated, j, enqueue.StatusKnown)
		other := j
		other.Request.InstanceName = "x"
		create(t, rotated, other, enqueue.StatusConflict)
		mustWait(t, c, queue, "a")

		// With the old key thrown away, nobody can tell; that is said, not guessed.
		got := create(t, newClient(t, c, next), j, enqueue.StatusUnreadable)
		var unreadable *enqueue.UnreadableError
		if !errors.As(got.Err, &unreadable) || !errors.Is(got.Err, tasks.ErrUnreadable) {
			t.Errorf("got %v, want an UnreadableError that wraps ErrUnreadable", got.Err)
		}
	})
}

// Whatever stands there that cannot be read, it is not called another request, and
// what is said of it leads to no other ID, with which there would be a second call.
func TestWhatCannotBeReadIsNoOtherRequest(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		j := newJob("a")
		create(t, client, j, enqueue.StatusQueued)
		key := ledger.JobKey(j.Ref())
		whole := c.Get(t.Context(), key).Val()
		other := j
		other.Request.InstanceName = "another name"
		for name, text := range map[string]string{
			"an older version": "1" + whole[1:], "a newer version": "3" + whole[1:], "no head": "x", "nothing": "",
			"a request that is cut": whole[:len(whole)-1], "a later progress": strings.Replace(whole, "\n\n\n", "\n\n{\"later\":1}\n", 1),
		} {
			for _, sent := range []tasks.Job{j, other} {
				if name == "a later progress" && sent.Request == j.Request {
					continue // the request is the same, byte by byte
				}
				c.Set(t.Context(), key, text, 0)
				looked, err := client.Lookup(t.Context(), []tasks.Job{sent})
				if err != nil {
					t.Fatal(err)
				}
				for _, got := range []enqueue.Result{looked[0], create(t, client, sent, enqueue.StatusUnreadable)} {
					var unreadable *enqueue.UnreadableError
					if got.Status != enqueue.StatusUnreadable || !errors.As(got.Err, &unreadable) || !errors.Is(got.Err, tasks.ErrUnreadable) {
						t.Fatalf("%s: %s, %v", name, got.Status, got.Err)
					}
					if says := got.Err.Error(); strings.Contains(says, "of its own") || !strings.Contains(says, "with the same ID") {
						t.Errorf("%s: it says %q", name, says)
					}
				}
				if got := c.Get(t.Context(), key).Val(); got != text {
					t.Errorf("%s: the record has become %q", name, got)
				}
			}
		}
	})
}

func TestAWrongDataKeyIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		create(t, newClient(t, c, dataKey), newJob("a"), enqueue.StatusQueued)
		keys := c.Keys(t.Context(), "*").Val()
		wrong := newClient(t, c, enqueue.NewDataKey())
		for range 2 {
			_, err := wrong.Create(t.Context(), tasks.Job{ID: "b", Account: "new", Request: newJob("b").Request})
			var refused *ledger.WrongKeyError
			if !errors.As(err, &refused) {
				t.Errorf("got %v, want a WrongKeyError", err)
			}
		}
		after := c.Keys(t.Context(), "*").Val()
		slices.Sort(keys)
		slices.Sort(after)
		if diff := cmp.Diff(keys, after); diff != "" {
			t.Errorf("keys in Redis (-before +after):\n%s", diff)
		}
	})
}

func TestAnUnknownAccountIsInvalid(t *testing.T) {
	_, c := redistest.Mini(t)
	client, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: dataKey, Rules: tasks.Rules{
		AccountKnown: func(name string) bool { return name == account },
	}})
	if err != nil {
		t.Fatal(err)
	}
	create(t, client, newJob("a"), enqueue.StatusQueued)
	stray := newJob("b")
	stray.Account = "acne"
	got := create(t, client, stray, enqueue.StatusInvalid)
	var invalid *tasks.InvalidError
	if !errors.As(got.Err, &invalid) || invalid.Fields[0].Field != "account" {
		t.Errorf("got %v, want it to name the account", got.Err)
	}
	if keys := c.Keys(t.Context(), "*acne*").Val(); len(keys) != 0 {
		t.Errorf("Redis holds %q", keys)
	}
}

func TestASettingThatCannotWorkIsRefusedWithoutRepeatingAKey(t *testing.T) {
	_, c := redistest.Mini(t)
	for name, config := range map[string]enqueue.Config{
		"no Redis":   {DataKeys: dataKey},
		"no key":     {Redis: c},
		"half a key": {Redis: c, DataKeys: dataKey[:20]},
	} {
		_, err := enqueue.New(config)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), dataKey[:20]) {
			t.Errorf("%s: a key stands in %q", name, err)
		}
	}
}

func TestAQueuedJobTakesLittleMemory(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	ctx, client := t.Context(), newClient(t, c, dataKey)
	const jobs = 1000
	var ids []string
	var all []tasks.Job
	for i := range jobs {
		j := newJob("") // as a file's rows are, it is named by what it asks for
		j.Batch = "tenants-2026-03.csv"
		j.Request = tasks.Request{ // some 300 bytes of JSON
			ChannelType: "WHATSAPP", InstanceName: fmt.Sprintf("tenant %06d", i), InstanceDescription: "Flower shop with delivery",
			OfficeAddress: "12 Long Street, Springfield 12345", ContactMail: fmt.Sprintf("owner%06d@tenant.example", i),
			CountryID: "65", FacebookBmID: "393993000000017", IsConfirmAudit: "Y",
		}
		all, ids = append(all, j), append(ids, j.Normalize().ID)
	}
	if sum, err := client.CreateAll(ctx, sequence(all...), nil); err != nil || sum.Queued != jobs {
		t.Fatalf("%+v, %v", sum, err)
	}
	usage := func(key string) (n int64) {
		t.Helper()
		n, err := c.MemoryUsage(ctx, key, 0).Result()
		if err != nil {
			t.Fatalf("MEMORY USAGE %s: %v", key, err)
		}
		return n
	}
	var record, task, shared int64
	for _, id := range ids {
		record += usage("camsq:{" + queue + "}:job:" + id)
		task += usage("asynq:{" + queue + "}:t:" + id)
	}
	for _, key := range c.Keys(ctx, "*").Val() {
		if !strings.Contains(key, ":job:") && !strings.Contains(key, ":t:") {
			shared += usage(key)
		}
	}
	t.Logf("bytes per queued job: record %d, task %d, lists %d; together %d",
		record/jobs, task/jobs, shared/jobs, (record+task+shared)/jobs)
	if per := (record + task + shared) / jobs; per > 1100 {
		t.Errorf("a queued job takes %d bytes, want at most 1100", per)
	}
}
