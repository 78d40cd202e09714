package enqueue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// listener hears what is said on the channel that wakes workers.
type listener struct {
	c     redis.UniversalClient
	heard <-chan *redis.Message
}

func listen(t *testing.T, c redis.UniversalClient) listener {
	t.Helper()
	sub := c.Subscribe(t.Context(), tasks.WakeChannel)
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil { // so that it listens from here on
		t.Fatal(err)
	}
	return listener{c, sub.Channel()}
}

// must makes sure that these messages and no others were said since the last time.
func (l listener) must(t *testing.T, what string, want ...string) {
	t.Helper()
	if err := l.c.Publish(t.Context(), tasks.WakeChannel, "end").Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for m := range l.heard {
		if m.Payload == "end" {
			break
		}
		got = append(got, m.Payload)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s says (-want +got):\n%s", what, diff)
	}
}

func TestAQueueThatGrowsWakesWhoeverListens(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, client := t.Context(), newClient(t, c, dataKey)
		ears := listen(t, c)
		high := func(id string) tasks.Job { return withPriority(newJob(id), tasks.PriorityHigh) }

		create(t, client, newJob("a"), enqueue.StatusQueued)
		ears.must(t, "a normal job", queue)
		create(t, client, high("b"), enqueue.StatusQueued)
		ears.must(t, "a high job", highQueue)
		create(t, client, newJob("a"), enqueue.StatusKnown)
		create(t, client, high("a"), enqueue.StatusKnown)
		ears.must(t, "a known job")
		elsewhere := newJob("a")
		elsewhere.Account = "other"
		jobs := sequence(high("c"), newJob("d"), newJob("a"), high("e"), newJob("f"))
		if _, err := client.CreateAll(ctx, jobs, nil); err != nil {
			t.Fatal(err)
		}
		ears.must(t, "a step of many jobs", queue, highQueue)
		create(t, client, elsewhere, enqueue.StatusQueued)
		ears.must(t, "another account", "provision:other")

		for range 2 {
			if err := client.Callback(ctx, newJob("a").Ref()); err != nil {
				t.Fatal(err)
			}
		}
		ears.must(t, "a callback, asked for twice", tasks.QueueCallback)

		c.Del(ctx, keysOf(queue)("t:a"), keysOf(queue)("t:d"), keysOf(highQueue)("t:b"), keysOf(tasks.QueueCallback)("t:acme/a"))
		for range 2 {
			if _, err := client.Requeue(ctx, account, page("a", "b", "c", "d", "e", "f")); err != nil {
				t.Fatal(err)
			}
			if _, err := client.RequeueCallbacks(ctx, account, page("a")); err != nil {
				t.Fatal(err)
			}
		}
		ears.must(t, "what was lost and is put back, asked for twice", highQueue, queue, tasks.QueueCallback)

		c.Del(ctx, keysOf(highQueue)("t:b"))
		if err := client.Provision(ctx, account, []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		ears.must(t, "Provision", highQueue)
	})
}

func TestWhoeverMayNotSpeakEnqueuesAllTheSame(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client()
	ears := listen(t, admin)
	for name, rule := range map[string][]any{
		"no channel":  {"resetchannels"},
		"no command":  {"allchannels", "-publish"},
		"not at all":  {"resetchannels", "-publish"},
		"other words": {"resetchannels", "&asynq:*"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			args := append([]any{"ACL", "SETUSER", "producer", "reset", "on", ">secret", "~camsq:*", "~asynq:*", "+@all"}, rule...)
			if err := admin.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
			c := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "producer", Password: "secret"})
			defer c.Close()
			if err := c.Publish(ctx, tasks.WakeChannel, "x").Err(); err == nil {
				t.Fatal("the user may speak: this cannot prove anything")
			}
			admin.FlushDB(ctx)
			client := newClient(t, c, dataKey)
			create(t, client, newJob("a"), enqueue.StatusQueued)
			create(t, client, withPriority(newJob("b"), tasks.PriorityHigh), enqueue.StatusQueued)
			admin.Del(ctx, keysOf(queue)("t:a"))
			if n, err := client.Requeue(ctx, account, page("a", "b")); n != 1 || err != nil {
				t.Errorf("Requeue: %d, %v; want 1", n, err)
			}
			if err := client.Callback(ctx, newJob("a").Ref()); err != nil {
				t.Errorf("Callback: %v", err)
			}
			mustWait(t, admin, queue, "a")
			mustWait(t, admin, highQueue, "b")
			mustWait(t, admin, tasks.QueueCallback, "acme/a")
			ears.must(t, name)
		})
	}
}
