package enqueue_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

const highQueue = "provision:acme}:high"

func withPriority(j tasks.Job, p tasks.Priority) tasks.Job {
	j.Priority = p
	return j
}

// eachPriority calls body for a job of each priority, with its queue and the
// account's other one.
func eachPriority(t *testing.T, body func(t *testing.T, j tasks.Job, own, other string)) {
	for _, v := range []struct {
		priority   tasks.Priority
		own, other string
	}{{tasks.PriorityNormal, queue, highQueue}, {tasks.PriorityHigh, highQueue, queue}} {
		name := string(v.priority)
		if name == "" {
			name = "normal"
		}
		t.Run(name, func(t *testing.T) { body(t, withPriority(newJob("a"), v.priority), v.own, v.other) })
	}
}

// mustNotStand makes sure that a queue holds nothing of a task.
func mustNotStand(t testing.TB, c redis.UniversalClient, queue, id string) {
	t.Helper()
	if in := standing(t, c, queue, id); len(in) > 0 || c.Exists(t.Context(), keysOf(queue)("t:"+id)).Val() > 0 {
		t.Errorf("task %s stands in %q of %s, want nothing of it there", id, in, queue)
	}
}

func TestAJobGoesIntoTheQueueOfItsPriority(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, other string) {
			c.FlushDB(t.Context())
			client := newClient(t, c, dataKey)
			written := withPriority(j, " "+j.Priority+"\n")
			if got := create(t, client, written, enqueue.StatusQueued); got.Job.Priority != j.Priority {
				t.Errorf("the result holds priority %q, want %q", got.Job.Priority, j.Priority)
			}
			mustWait(t, c, own, "a")
			mustNotStand(t, c, other, "a")
			if r, err := newLedger(t, c).Get(t.Context(), j.Ref()); err != nil || r.Priority != j.Priority {
				t.Errorf("the record holds priority %q, %v; want %q", r.Priority, err, j.Priority)
			}
			if known := c.SMembers(t.Context(), "asynq:queues").Val(); !slices.Equal(known, []string{own}) {
				t.Errorf("asynq knows the queues %q, want %q alone", known, own)
			}
		})
	})
}

func TestAnUnknownPriorityIsInvalid(t *testing.T) {
	_, c := redistest.Mini(t)
	got := create(t, newClient(t, c, dataKey), withPriority(newJob("a"), "urgent"), enqueue.StatusInvalid)
	if want := "tasks: job is not valid: priority: must be high or normal; leave it out for normal"; got.Err.Error() != want {
		t.Errorf("got %q, want %q", got.Err, want)
	}
}

func TestAsynqsServerRunsTheTasksOfTheHighQueue(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		create(t, newClient(t, c, dataKey), withPriority(newJob("a"), tasks.PriorityHigh), enqueue.StatusQueued)
		server := asynq.NewServerFromRedisClient(c, asynq.Config{
			Queues: map[string]int{tasks.HighQueue(account): 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond,
		})
		ran := make(chan string, 1)
		if err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			ran <- task.Type() + " " + string(task.Payload())
			return nil
		})); err != nil {
			t.Fatal(err)
		}
		if got := <-ran; got != "instance:create a" {
			t.Errorf("ran %q", got)
		}
		server.Shutdown()
		mustNotStand(t, c, highQueue, "a") // asynq's own scripts find it under that name too
	})
}

func TestAnotherPriorityIsNoOtherRequest(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, other string) {
			c.FlushDB(t.Context())
			create(t, newClient(t, c, dataKey), j, enqueue.StatusQueued)
			for name, keys := range map[string]string{
				"the same data key":               dataKey,
				"a new one, so they are compared": enqueue.NewDataKey() + " " + dataKey,
			} {
				for _, p := range []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh} {
					got := create(t, newClient(t, c, keys), withPriority(j, p), enqueue.StatusKnown)
					if got.Job.Priority != j.Priority {
						t.Errorf("%s: sent as %q, the result holds %q, want the job's own %q", name, p, got.Job.Priority, j.Priority)
					}
				}
			}
			mustWait(t, c, own, "a")
			mustNotStand(t, c, other, "a")
		})
	})
}

func TestOfOneJobInSeveralRowsTheFirstOneSaysThePriority(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		type outcome struct {
			ID       string
			Priority tasks.Priority
			Status   enqueue.Status
		}
		a, b := newJob("a"), newJob("b")
		jobs := []tasks.Job{
			a, withPriority(b, tasks.PriorityHigh), withPriority(a, tasks.PriorityHigh), b, withPriority(newJob("c"), tasks.PriorityHigh),
		}
		want := []outcome{
			{"a", "", enqueue.StatusQueued}, {"b", "high", enqueue.StatusQueued}, {"a", "", enqueue.StatusKnown},
			{"b", "high", enqueue.StatusKnown}, {"c", "high", enqueue.StatusQueued},
		}
		var got []outcome
		if _, err := newClient(t, c, dataKey).CreateAll(t.Context(), sequence(jobs...), func(r enqueue.Result) {
			got = append(got, outcome{r.Job.ID, r.Job.Priority, r.Status})
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		mustWait(t, c, queue, "a")
		mustWait(t, c, highQueue, "b")
		if pending := c.LRange(t.Context(), keysOf(highQueue)("pending"), 0, -1).Val(); !slices.Equal(pending, []string{"c", "b"}) {
			t.Errorf("the high queue holds %q, the first one to be taken last", pending)
		}
	})
}

func TestALostTaskComesBackIntoTheQueueOfItsPriority(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for _, trap := range traps {
			t.Run(trap.name, func(t *testing.T) {
				c.FlushDB(t.Context())
				client := newClient(t, c, dataKey)
				create(t, client, withPriority(newJob("a"), tasks.PriorityHigh), enqueue.StatusQueued)
				create(t, client, withPriority(newJob("bystander"), tasks.PriorityHigh), enqueue.StatusQueued)
				create(t, client, newJob("normal"), enqueue.StatusQueued)
				trap.spring(t.Context(), c, keysOf(highQueue), "a")
				ensured(t, "Requeue", client.Requeue, "a")
				mustWait(t, c, highQueue, "a")
				mustNotStand(t, c, queue, "a")
				mustWait(t, c, queue, "normal")
			})
		}
	})
}

func TestJobsThatArePutBackComeIntoTheQueuesOfTheirPriorities(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		high := withPriority(newJob("high"), tasks.PriorityHigh)
		create(t, client, newJob("normal"), enqueue.StatusQueued)
		create(t, client, high, enqueue.StatusQueued)
		put := map[string]func() error{
			"Provision": func() error { return client.Provision(t.Context(), account, []string{"normal", "high"}) },
			"Requeue": func() error {
				_, err := client.Requeue(t.Context(), account, page("high", "normal"))
				return err
			},
		}
		for name, back := range put {
			for _, key := range []string{"pending", "t:normal", "t:high"} {
				c.Del(t.Context(), keysOf(queue)(key), keysOf(highQueue)(key))
			}
			for range 2 {
				if err := back(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				mustWait(t, c, queue, "normal")
				mustWait(t, c, highQueue, "high")
				mustNotStand(t, c, highQueue, "normal")
				mustNotStand(t, c, queue, "high")
			}
		}
	})
}

// stray makes a job's task stand in the account's other queue, where a camsq that
// knows no priorities puts it back.
func stray(ctx context.Context, c redis.UniversalClient, id, own, other string) {
	hash := c.HGetAll(ctx, keysOf(own)("t:"+id)).Val()
	c.LRem(ctx, keysOf(own)("pending"), 0, id)
	c.Del(ctx, keysOf(own)("t:"+id))
	c.HSet(ctx, keysOf(other)("t:"+id), hash)
	c.LPush(ctx, keysOf(other)("pending"), id)
}

func TestATaskThatIsOnItsWayInTheOtherQueueGetsNoTwin(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, other string) {
			for in, bring := range map[string]func(ctx context.Context){
				"pending":      func(context.Context) {},
				"active lease": func(ctx context.Context) { dequeue(ctx, c, keysOf(other), "a", later) },
				"retry":        func(ctx context.Context) { park(ctx, c, keysOf(other), "a", "retry") },
			} {
				ctx := t.Context()
				c.FlushDB(ctx)
				client := newClient(t, c, dataKey)
				create(t, client, j, enqueue.StatusQueued)
				stray(ctx, c, "a", own, other)
				bring(ctx)
				if n, err := client.Requeue(ctx, account, page("a")); n != 0 || err != nil {
					t.Errorf("Requeue of one that is %s: %d, %v; want 0", in, n, err)
				}
				if err := client.Provision(ctx, account, []string{"a"}); err != nil {
					t.Errorf("Provision: %v", err)
				}
				mustNotStand(t, c, own, "a")
				if got := strings.Join(standing(t, c, other, "a"), " "); got != in {
					t.Errorf("it stands in %q, want %q", got, in)
				}
			}
		})
	})
}

func TestATaskThatWasLostInTheOtherQueueComesBackIntoItsOwn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, other string) {
			for _, trap := range traps {
				t.Run(trap.name, func(t *testing.T) {
					c.FlushDB(t.Context())
					client := newClient(t, c, dataKey)
					create(t, client, j, enqueue.StatusQueued)
					stray(t.Context(), c, "a", own, other)
					trap.spring(t.Context(), c, keysOf(other), "a")
					ensured(t, "Requeue", client.Requeue, "a")
					mustWait(t, c, own, "a")
					mustNotStand(t, c, other, "a")
				})
			}
		})
	})
}

func TestWhatIsLeftInTheOtherQueueOfATaskThatLivesIsClearedAway(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		eachPriority(t, func(t *testing.T, j tasks.Job, own, other string) {
			ctx := t.Context()
			c.FlushDB(ctx)
			client := newClient(t, c, dataKey)
			create(t, client, j, enqueue.StatusQueued)
			stray(ctx, c, "a", own, other)
			park(ctx, c, keysOf(other), "a", "archived")
			for _, want := range []int{1, 0} {
				c.HSet(ctx, keysOf(other)("t:a"), "state", "archived")
				c.ZAdd(ctx, keysOf(other)("archived"), redis.Z{Score: later, Member: "a"})
				_, archived, _, err := client.Survey(ctx, account)
				if err != nil || !slices.Equal(archived, []string{"a"}) {
					t.Errorf("Survey: archived %q, %v", archived, err)
				}
				if n, err := client.Requeue(ctx, account, page(archived...)); n != want || err != nil {
					t.Errorf("Requeue: %d, %v; want %d", n, err, want)
				}
				mustWait(t, c, own, "a")
				mustNotStand(t, c, other, "a")
			}
		})
	})
}

func TestSurveyLooksOverBothQueues(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client := t.Context(), newClient(t, c, dataKey)
		for name, p := range map[string]tasks.Priority{"normal": tasks.PriorityNormal, "high": tasks.PriorityHigh} {
			key := keysOf(tasks.JobQueue(account, p))
			for _, what := range []string{"pending", "active", "scheduled", "retry", "archived", "unleased"} {
				create(t, client, withPriority(newJob(name+"-"+what), p), enqueue.StatusQueued)
			}
			dequeue(ctx, c, key, name+"-active", later)
			for _, list := range []string{"scheduled", "retry", "archived"} {
				park(ctx, c, key, name+"-"+list, list)
			}
			dequeue(ctx, c, key, name+"-unleased", later)
			c.ZRem(ctx, key("lease"), name+"-unleased")
		}
		live, archived, unleased, err := client.Survey(ctx, account)
		slices.Sort(archived)
		slices.Sort(unleased)
		if err != nil || live != 8 || !slices.Equal(archived, []string{"high-archived", "normal-archived"}) ||
			!slices.Equal(unleased, []string{"high-unleased", "normal-unleased"}) {
			t.Errorf("Survey: %d live, archived %q, unleased %q, %v", live, archived, unleased, err)
		}
		if n, err := client.Requeue(ctx, account, page(append(archived, unleased...)...)); n != 4 || err != nil {
			t.Errorf("Requeue: %d, %v; want 4", n, err)
		}
		for _, id := range []string{"archived", "unleased"} {
			mustWait(t, c, queue, "normal-"+id)
			mustWait(t, c, highQueue, "high-"+id)
		}
	})
}

func TestAnAccountIsOneWhicheverItsQueues(t *testing.T) {
	_, c := redistest.Mini(t)
	client := newClient(t, c, dataKey)
	for name, priorities := range map[string][]tasks.Priority{
		"both": {tasks.PriorityNormal, tasks.PriorityHigh}, "urgent": {tasks.PriorityHigh}, "usual": {tasks.PriorityNormal},
	} {
		for _, p := range priorities {
			j := withPriority(newJob("job"+string(p)), p)
			j.Account = name
			create(t, client, j, enqueue.StatusQueued)
		}
	}
	if err := client.Callback(t.Context(), newJob("a").Ref()); err != nil {
		t.Fatal(err)
	}
	c.SAdd(t.Context(), "asynq:queues", "mail", "provision:", "provision:}:high", "provision:a b", "mail}:high", "provision:x}:high}:high")
	got, err := client.Accounts(t.Context())
	if diff := cmp.Diff([]string{"both", "urgent", "usual"}, got); err != nil || diff != "" {
		t.Errorf("Accounts: %v (-want +got):\n%s", err, diff)
	}
}

func TestANormalJobTakesNoMoreOfRedisForTheOtherPriority(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	client := newClient(t, c, dataKey)
	create(t, client, newJob("a"), enqueue.StatusQueued)
	before := c.Keys(t.Context(), "*").Val()
	slices.Sort(before)
	want := []string{
		"asynq:queues", "asynq:{provision:acme}:pending", "asynq:{provision:acme}:t:a", "camsq:data-keys", "camsq:format",
		"camsq:{provision:acme}:count", "camsq:{provision:acme}:job:a", "camsq:{provision:acme}:state:queued",
	}
	if diff := cmp.Diff(want, before); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}
