package enqueue_test

import (
	"bytes"
	"context"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// link is a client's way to Redis, which a test can cut when a script is sent.
type link struct {
	mu    sync.Mutex
	cut   fault
	pass  int // so many scripts get through before
	times int
}

type fault int

const (
	beforeScript fault = iota // the script does not reach Redis
	afterScript               // the script runs, its reply is lost
)

// cutable returns another client of c's Redis. retries is go-redis's MaxRetries.
func cutable(t testing.TB, c redis.UniversalClient, retries int) (*redis.Client, *link) {
	t.Helper()
	w := &link{}
	o := *c.(*redis.Client).Options()
	dial := o.Dialer
	o.MaxRetries = retries
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &cutConn{Conn: conn, link: w}, nil
	}
	own := redis.NewClient(&o)
	t.Cleanup(func() { _ = own.Close() })
	return own, w
}

func (w *link) fail(how fault, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.times = how, times
}

// failAfter lets so many scripts pass and fails all others.
func (w *link) failAfter(how fault, pass int) {
	w.fail(how, math.MaxInt)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pass = pass
}

func (w *link) next() (fault, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pass > 0 {
		w.pass--
		return 0, false
	}
	if w.times == 0 {
		return 0, false
	}
	w.times--
	return w.cut, true
}

func (w *link) mustBeMet(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times != 0 {
		t.Fatalf("%d faults were not met", w.times)
	}
}

type cutConn struct {
	net.Conn
	link *link
	lose bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("evalsha")) {
		if how, ok := c.link.next(); ok && how == beforeScript {
			_ = c.Close()
			return 0, syscall.ECONNRESET
		} else if ok {
			c.lose = true
		}
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lose {
		_ = c.Close() // Redis has answered, so the script has run
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func TestRecordAndTaskAreThereTogetherOrNotAtAll(t *testing.T) {
	for _, v := range []struct {
		name    string
		how     fault
		retries int
		lost    bool           // the caller learns of the fault
		written bool           // the job is there when it does
		again   enqueue.Status // what it is told when it sends the job again
	}{
		{"cut before the script", beforeScript, -1, true, false, enqueue.StatusQueued},
		{"cut after the script", afterScript, -1, true, true, enqueue.StatusKnown},
		{"cut before the script, go-redis asks again", beforeScript, 3, false, true, enqueue.StatusKnown},
		{"cut after the script, go-redis asks again", afterScript, 3, false, true, enqueue.StatusKnown},
	} {
		t.Run(v.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
				mine, link := cutable(t, c, v.retries)
				client := newClient(t, mine, dataKey)
				create(t, client, newJob("warm"), enqueue.StatusQueued) // so that Redis knows the script

				link.fail(v.how, 1)
				got, err := client.Create(t.Context(), newJob("a"))
				link.mustBeMet(t)
				if v.lost {
					if err == nil || got.Status != "" {
						t.Errorf("Create: %q, %v; want an error", got.Status, err)
					}
				} else if err != nil || got.Status != enqueue.StatusQueued {
					// A reply that go-redis fetched again still tells a new job from a known one.
					t.Errorf("Create: %q, %v; want it queued", got.Status, err)
				}
				want := int64(0)
				if v.written {
					want = 1
				}
				record := c.Exists(t.Context(), "camsq:{"+queue+"}:job:a").Val()
				task := c.Exists(t.Context(), "asynq:{"+queue+"}:t:a").Val()
				if record != want || task != want {
					t.Errorf("there are %d records and %d tasks, want %d of each", record, task, want)
				}

				create(t, client, newJob("a"), v.again)
				mustWait(t, c, queue, "a")
				o, err := newLedger(t, c).Overview(t.Context(), account)
				if err != nil || o.Jobs[tasks.StateQueued] != 2 {
					t.Errorf("counted %v, %v; want 2 queued", o.Jobs, err)
				}
			})
		})
	}
}

func TestARedisThatForgotItsScriptsGetsThemAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, dataKey)
		for _, id := range []string{"a", "b"} {
			create(t, client, newJob(id), enqueue.StatusQueued)
			if err := c.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			mustWait(t, c, queue, id)
		}
		c.Del(t.Context(), "asynq:{"+queue+"}:t:a")
		if n, err := client.Requeue(t.Context(), account, page("a", "b")); n != 1 || err != nil {
			t.Errorf("Requeue: %d, %v; want 1", n, err)
		}
		mustWait(t, c, queue, "a")
	})
}

// trap is a way in which asynq v0.26.0, or the Redis below it, loses a task.
type trap struct {
	name string
	// spring does it to a task that waits. key makes the keys of the task's queue.
	spring func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string)
	// unlisted is set if neither a hash nor a record is left to tell a new job
	// that its ID stands in the pending list.
	unlisted bool
}

// dequeue is what asynq's script does when a server takes the task.
func dequeue(ctx context.Context, c redis.UniversalClient, key func(string) string, id string, lease float64) {
	c.LRem(ctx, key("pending"), 0, id)
	c.LPush(ctx, key("active"), id)
	c.HSet(ctx, key("t:"+id), "state", "active")
	c.HDel(ctx, key("t:"+id), "pending_since")
	c.ZAdd(ctx, key("lease"), redis.Z{Score: lease, Member: id})
}

// park is what asynq's scripts do when a task has to wait or has ended.
func park(ctx context.Context, c redis.UniversalClient, key func(string) string, id, list string) {
	c.LRem(ctx, key("pending"), 0, id)
	c.HSet(ctx, key("t:"+id), "state", list)
	c.ZAdd(ctx, key(list), redis.Z{Score: later, Member: id})
}

const later = 4e9 // a Unix time after every test

var traps = []trap{
	{name: "its hash was evicted", unlisted: true, spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		c.Del(ctx, key("t:"+id))
	}},
	{name: "its hash was evicted and then it was dequeued", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		c.Del(ctx, key("t:"+id))
		dequeue(ctx, c, key, id, later)
	}},
	{name: "active without a lease", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		dequeue(ctx, c, key, id, later)
		c.ZRem(ctx, key("lease"), id)
	}},
	{name: "leased but not active", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		dequeue(ctx, c, key, id, later)
		c.LRem(ctx, key("active"), 0, id)
	}},
	{name: "archived", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		park(ctx, c, key, id, "archived")
	}},
	{name: "archived, and trimmed from the archive", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		c.LRem(ctx, key("pending"), 0, id)
		c.Del(ctx, key("t:"+id))
	}},
	{name: "archived, and trimmed without its hash", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		park(ctx, c, key, id, "archived")
		c.ZRem(ctx, key("archived"), id)
	}},
	{name: "the pending list was lost", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		c.Del(ctx, key("pending"))
	}},
	{name: "the retry list was lost", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		park(ctx, c, key, id, "retry")
		c.Del(ctx, key("retry"))
	}},
	{name: "the schedule was lost", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		park(ctx, c, key, id, "scheduled")
		c.Del(ctx, key("scheduled"))
	}},
	{name: "completed and retained", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		park(ctx, c, key, id, "completed")
	}},
	{name: "all of asynq's keys were lost", spring: func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
		c.Del(ctx, c.Keys(ctx, key("*")).Val()...)
	}},
}

func keysOf(queue string) func(string) string {
	return func(part string) string { return "asynq:{" + queue + "}:" + part }
}

func TestALostTaskComesBackOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for _, trap := range traps {
			t.Run(trap.name, func(t *testing.T) {
				ctx := t.Context()
				c.FlushDB(ctx)
				client := newClient(t, c, dataKey)
				create(t, client, newJob("a"), enqueue.StatusQueued)
				create(t, client, newJob("bystander"), enqueue.StatusQueued)
				trap.spring(ctx, c, keysOf(queue), "a")
				ensured(t, "Requeue", client.Requeue, "a")
				mustWait(t, c, queue, "a")

				if err := client.Callback(ctx, newJob("a").Ref()); err != nil {
					t.Fatal(err)
				}
				mustWait(t, c, tasks.QueueCallback, "acme/a")
				trap.spring(ctx, c, keysOf(tasks.QueueCallback), "acme/a")
				ensured(t, "RequeueCallbacks", client.RequeueCallbacks, "a")
				mustWait(t, c, tasks.QueueCallback, "acme/a")
			})
		}
	})
}

func TestWhatIsLeftOfATaskDoesNotBlockANewJob(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for _, trap := range traps {
			t.Run(trap.name, func(t *testing.T) {
				ctx := t.Context()
				c.FlushDB(ctx)
				client := newClient(t, c, dataKey)
				create(t, client, newJob("a"), enqueue.StatusQueued)
				trap.spring(ctx, c, keysOf(queue), "a")
				c.Del(ctx, "camsq:{"+queue+"}:job:a") // its record expired long ago
				create(t, client, newJob("a"), enqueue.StatusQueued)
				if trap.unlisted {
					// Looking for it would cost each new job a walk along the list; the
					// second entry is a second turn, and the ledger allows one.
					if got := standing(t, c, queue, "a"); len(got) != 2 {
						t.Errorf("the task stands in %q", got)
					}
					return
				}
				mustWait(t, c, queue, "a")
			})
		}
	})
}

func TestALiveTaskIsLeftAlone(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		for _, v := range []struct {
			name  string
			bring func(context.Context, redis.UniversalClient, func(string) string, string)
			in    string
		}{
			{"pending", func(context.Context, redis.UniversalClient, func(string) string, string) {}, "pending"},
			{"active with a lease", func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
				dequeue(ctx, c, key, id, later)
			}, "active lease"},
			{"active with a lease that has ended", func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
				dequeue(ctx, c, key, id, 1) // asynq's recoverer will take it
			}, "active lease"},
			{"scheduled", func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
				park(ctx, c, key, id, "scheduled")
			}, "scheduled"},
			{"retry", func(ctx context.Context, c redis.UniversalClient, key func(string) string, id string) {
				park(ctx, c, key, id, "retry")
			}, "retry"},
		} {
			t.Run(v.name, func(t *testing.T) {
				ctx := t.Context()
				c.FlushDB(ctx)
				client := newClient(t, c, dataKey)
				create(t, client, newJob("a"), enqueue.StatusQueued)
				if err := client.Callback(ctx, newJob("a").Ref()); err != nil {
					t.Fatal(err)
				}
				for task, queue := range map[string]string{"a": queue, "acme/a": tasks.QueueCallback} {
					v.bring(ctx, c, keysOf(queue), task)
					hash := c.HGetAll(ctx, keysOf(queue)("t:"+task)).Val()
					for range 2 {
						if n, err := client.Requeue(ctx, account, page("a")); n != 0 || err != nil {
							t.Errorf("Requeue: %d, %v; want 0", n, err)
						}
						if n, err := client.RequeueCallbacks(ctx, account, page("a")); n != 0 || err != nil {
							t.Errorf("RequeueCallbacks: %d, %v; want 0", n, err)
						}
						if err := client.Callback(ctx, newJob("a").Ref()); err != nil {
							t.Error(err)
						}
						create(t, client, newJob("a"), enqueue.StatusKnown)
					}
					if got := strings.Join(standing(t, c, queue, task), " "); got != v.in {
						t.Errorf("task %s stands in %q, want %q", task, got, v.in)
					}
					if after := c.HGetAll(ctx, keysOf(queue)("t:"+task)).Val(); after["msg"] != hash["msg"] || after["state"] != hash["state"] {
						t.Errorf("task %s has become %q", task, after)
					}
				}
			})
		}
	})
}
