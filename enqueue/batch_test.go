package enqueue_test

import (
	"slices"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// ended sends jobs of a batch and withdraws them.
func ended(t *testing.T, client client, l *ledger.Ledger, batch string, refs ...tasks.Ref) {
	t.Helper()
	for _, ref := range refs {
		j := newJob(ref.ID)
		j.Account, j.Batch = ref.Account, batch
		create(t, client, j, enqueue.StatusQueued)
		r, err := l.Get(t.Context(), ref)
		if err == nil {
			_, err = l.Transition(t.Context(), r, tasks.StepCancel, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func callbackTasks(t *testing.T, c redis.UniversalClient) []string {
	t.Helper()
	ids := c.LRange(t.Context(), keysOf(tasks.QueueCallback)("pending"), 0, -1).Val()
	slices.Sort(ids)
	return ids
}

func TestClosingABatchWhoseJobsHaveEndedQueuesItsCallbackOnce(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		client, l := newClient(t, c, dataKey), newLedger(t, c)
		ended(t, client, l, "a b", tasks.Ref{Account: account, ID: "1"}, tasks.Ref{Account: "eu", ID: "1"}, tasks.Ref{Account: "us", ID: "1"})
		for range 2 {
			if err := client.CloseBatch(t.Context(), "a b", account, "eu", "nobody"); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := callbackTasks(t, c), []string{"acme/a b#1", "eu/a b#1"}; !slices.Equal(got, want) {
			t.Errorf("callbacks %q, want %q", got, want)
		}
		mustWait(t, c, tasks.QueueCallback, "acme/a b#1")
		info, err := asynq.NewInspectorFromRedisClient(c).GetTaskInfo(tasks.QueueCallback, "acme/a b#1")
		if err != nil || info.Type != tasks.TypeDeliverBatch {
			t.Errorf("the task: %+v, %v", info, err)
		}
		// Without accounts it is about all that have jobs of it.
		if err := client.CloseBatch(t.Context(), "a b"); err != nil {
			t.Fatal(err)
		}
		if got := callbackTasks(t, c); len(got) != 3 || got[2] != "us/a b#1" {
			t.Errorf("callbacks %q", got)
		}
		if err := client.CloseBatch(t.Context(), ""); err == nil {
			t.Error("a batch without a name was closed")
		}
	})
}

// Whatever is lost while a batch is closed, closing it again makes up for.
func TestAnEndThatIsLostOnTheWayIsToldAgain(t *testing.T) {
	for name, how := range map[string]fault{"the request": beforeScript, "the reply": afterScript} {
		for _, at := range []string{"closing", "queueing"} {
			t.Run(name+" of "+at, func(t *testing.T) {
				each(t, func(t *testing.T, c redis.UniversalClient) {
					l := newLedger(t, c)
					own, link := cutable(t, c, -1)
					client := newClient(t, own, dataKey)
					ended(t, client, l, "march", tasks.Ref{Account: account, ID: "1"})
					if at == "queueing" {
						if n, err := l.CloseBatch(t.Context(), account, "march"); n != 1 || err != nil {
							t.Fatal(n, err)
						}
						// Its script goes first, and nothing is new to it.
						if err := client.CloseBatch(t.Context(), "march", "nobody"); err != nil {
							t.Fatal(err)
						}
						link.fail(how, 1)
						if err := client.BatchCallback(t.Context(), tasks.BatchRef{Account: account, Batch: "march", Completion: 1}); err == nil {
							t.Error("no error")
						}
					} else {
						link.fail(how, 1)
						if err := client.CloseBatch(t.Context(), "march", account); err == nil {
							t.Error("no error")
						}
					}
					link.mustBeMet(t)
					if err := client.CloseBatch(t.Context(), "march", account); err != nil {
						t.Fatal(err)
					}
					mustWait(t, c, tasks.QueueCallback, "acme/march#1")
				})
			})
		}
	}
}

func TestACallbackOfABatchThatIsLostIsPutBack(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		client, l := newClient(t, c, dataKey), newLedger(t, c)
		ended(t, client, l, "march", tasks.Ref{Account: account, ID: "1"})
		if err := client.CloseBatch(t.Context(), "march", account); err != nil {
			t.Fatal(err)
		}
		c.Del(t.Context(), keysOf(tasks.QueueCallback)("t:acme/march#1"))
		ensured(t, "RequeueBatches", client.RequeueBatches, "march#1")
		mustWait(t, c, tasks.QueueCallback, "acme/march#1")
		park(t.Context(), c, keysOf(tasks.QueueCallback), "acme/march#1", "archived") // by a worker that does not know such tasks
		ensured(t, "RequeueBatches", client.RequeueBatches, "march#1")
		mustWait(t, c, tasks.QueueCallback, "acme/march#1")
	})
}
