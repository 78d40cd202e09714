package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

func page(ids ...string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) { yield(ids, nil) }
}

// ensured puts a task back that is lost, and then finds it there.
func ensured(t *testing.T, name string, requeue func(context.Context, string, iter.Seq2[[]string, error]) (int, error), id string) {
	t.Helper()
	for _, want := range []int{1, 0} {
		if n, err := requeue(t.Context(), account, page(id)); n != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, n, err, want)
		}
	}
}

func TestManyTasksComeBackAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		var jobs []tasks.Job
		var ids []string
		for i := range 1100 {
			jobs = append(jobs, newJob(fmt.Sprintf("j%04d", i)))
			ids = append(ids, jobs[i].ID)
		}
		if _, err := client.CreateAll(t.Context(), sequence(jobs...), nil); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids[:1050] { // more than a script takes
			c.Del(t.Context(), keysOf(queue)("t:"+id))
		}
		pages := func(yield func([]string, error) bool) {
			_ = yield(ids[:1000], nil) && yield(nil, nil) && yield(ids[1000:], nil)
		}
		if n, err := client.Requeue(t.Context(), account, pages); n != 1050 || err != nil {
			t.Errorf("Requeue: %d, %v; want 1050", n, err)
		}
		pending := c.LRange(t.Context(), keysOf(queue)("pending"), 0, -1).Val()
		slices.Sort(pending)
		if diff := cmp.Diff(ids, pending); diff != "" {
			t.Errorf("pending (-want +got):\n%s", diff)
		}
	})
}

func TestAPageThatFailsEndsTheAudit(t *testing.T) {
	_, c := redistest.Mini(t)
	client := newClient(t, c, dataKey)
	create(t, client, newJob("a"), enqueue.StatusQueued)
	c.Del(t.Context(), keysOf(queue)("t:a"))
	broken := errors.New("the ledger did not answer")
	for name, requeue := range map[string]func(context.Context, string, iter.Seq2[[]string, error]) (int, error){
		"Requeue": client.Requeue, "RequeueCallbacks": client.RequeueCallbacks,
	} {
		n, err := requeue(t.Context(), account, func(yield func([]string, error) bool) {
			if yield([]string{"a"}, nil) && yield(nil, broken) {
				t.Errorf("%s asked for more after an error", name)
			}
		})
		if n != 1 || !errors.Is(err, broken) {
			t.Errorf("%s: %d, %v; want what came before, and the page's error", name, n, err)
		}
	}
}

// scripts counts the scripts that a client runs.
type scripts struct{ n atomic.Int64 }

func (s *scripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *scripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *scripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			s.n.Add(1)
		}
		return next(ctx, cmd)
	}
}

func TestALongPendingListIsReadOnceAndNoScriptWalksIt(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	ctx, client := t.Context(), newClient(t, c, dataKey)
	create(t, client, newJob("last"), enqueue.StatusQueued)
	ids := []string{"last"}
	for _, n := range []int{9_999, 1, 10_000, 3_000} { // so that jobs stand at the pages' borders
		others := make([]any, n)
		for i := range others {
			others[i] = fmt.Sprintf("other%d-%d", n, i)
		}
		c.LPush(ctx, keysOf(queue)("pending"), others...)
		j := newJob(fmt.Sprint("behind", n))
		create(t, client, j, enqueue.StatusQueued)
		ids = append(ids, j.ID)
	}
	counted := &scripts{}
	c.AddHook(counted)
	if n, err := client.Requeue(ctx, account, page(ids...)); n != 0 || err != nil {
		t.Errorf("Requeue: %d, %v; want 0", n, err)
	}
	if n := counted.n.Load(); n != 0 {
		t.Errorf("%d scripts ran for tasks that are pending, want none", n)
	}
}

func TestALostReplyOfRequeueingMakesNoSecondTask(t *testing.T) {
	for name, how := range map[string]fault{"cut before the script": beforeScript, "cut after the script": afterScript} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
				mine, link := cutable(t, c, 3)
				client := newClient(t, mine, dataKey)
				create(t, client, newJob("a"), enqueue.StatusQueued)
				if err := client.Callback(t.Context(), newJob("warm").Ref()); err != nil {
					t.Fatal(err)
				}
				c.Del(t.Context(), keysOf(queue)("t:a"))

				link.fail(how, 1)
				if _, err := client.Requeue(t.Context(), account, page("a")); err != nil {
					t.Errorf("Requeue: %v", err)
				}
				link.mustBeMet(t)
				mustWait(t, c, queue, "a")

				link.fail(how, 1)
				if err := client.Callback(t.Context(), newJob("a").Ref()); err != nil {
					t.Errorf("Callback: %v", err)
				}
				link.mustBeMet(t)
				mustWait(t, c, tasks.QueueCallback, "acme/a")
			})
		})
	}
}

func TestSurveyTellsLiveTasksFromStuckOnes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client, key := t.Context(), newClient(t, c, dataKey), keysOf(queue)
		if live, archived, unleased, err := client.Survey(ctx, account); live != 0 || len(archived)+len(unleased) != 0 || err != nil {
			t.Errorf("of an empty queue: %d, %q, %q, %v", live, archived, unleased, err)
		}
		for _, id := range []string{"pending", "active", "scheduled", "retry", "archived", "completed", "unleased", "zombie"} {
			create(t, client, newJob(id), enqueue.StatusQueued)
		}
		dequeue(ctx, c, key, "active", later)
		park(ctx, c, key, "scheduled", "scheduled")
		park(ctx, c, key, "retry", "retry")
		park(ctx, c, key, "archived", "archived")
		park(ctx, c, key, "completed", "completed")
		dequeue(ctx, c, key, "unleased", later)
		c.ZRem(ctx, key("lease"), "unleased")
		c.Del(ctx, key("t:zombie"))
		dequeue(ctx, c, key, "zombie", 1_000_000_000) // asynq never takes back what has no message

		live, archived, unleased, err := client.Survey(ctx, account)
		slices.Sort(unleased)
		if err != nil || live != 4 || !slices.Equal(archived, []string{"archived"}) || !slices.Equal(unleased, []string{"unleased", "zombie"}) {
			t.Errorf("Survey: %d live, archived %q, unleased %q, %v", live, archived, unleased, err)
		}

		// What it found is put back, and then nothing is stuck.
		if n, err := client.Requeue(ctx, account, page(append(archived, unleased...)...)); n != 3 || err != nil {
			t.Errorf("Requeue: %d, %v; want 3", n, err)
		}
		live, archived, unleased, err = client.Survey(ctx, account)
		if err != nil || live != 7 || len(archived)+len(unleased) != 0 {
			t.Errorf("after it: %d live, archived %q, unleased %q, %v", live, archived, unleased, err)
		}
	})
}
