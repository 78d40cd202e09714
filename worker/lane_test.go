package worker_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// deaf is a queueWatcher that hears nothing of what is said.
type deaf struct{ worker.QueueWatcher }

func (deaf) Listen(ctx context.Context, _ func(string)) { <-ctx.Done() }

// calls notes when each create arrives at the cloud.
type calls struct {
	mu    sync.Mutex
	at    map[string]time.Time
	order []string
}

func (c *calls) note(op string, params url.Values) {
	if op != "CreateInstance" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[string]time.Time{}
	}
	name := params.Get("InstanceName")
	c.at[name] = time.Now()
	c.order = append(c.order, name)
}

func (c *calls) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.order)
}

// A job of an idle lane is called at once: somebody says that it is there. If
// that is lost, a look finds it.
func TestAnIdleLaneIsWokenByItsFirstJob(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		deaf        bool
		look, limit time.Duration
	}{
		"woken":        {look: time.Hour, limit: 100 * time.Millisecond},
		"not woken":    {deaf: true, look: time.Second, limit: 1100 * time.Millisecond},
		"quick looks ": {deaf: true, look: 50 * time.Millisecond, limit: 150 * time.Millisecond},
	} {
		bubble(t, name, func(t *testing.T) {
			var seen calls
			w := newCluster(t, camstest.Config{OnRequest: seen.note})
			w.start(func(_ *process, s *setup) {
				s.PollEvery = tt.look
				if tt.deaf {
					s.Watcher = deaf{s.Watcher}
				}
			})
			time.Sleep(10 * time.Second)
			for i, id := range names("shop", 3) { // the first one starts the lane
				time.Sleep(time.Duration(i) * 3700 * time.Millisecond)
				start := time.Now()
				w.enqueue(id)
				w.awaitEnd(time.Minute, id)
				if took := seen.at[id].Sub(start); took > tt.limit {
					t.Errorf("%s is called %v after it was enqueued, want %v at most", id, took, tt.limit)
				}
			}
		})
	}
}

// Idle lanes cost Redis next to nothing, before their first job and after it.
func TestAnIdleLaneAsksRedisSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		var scripts atomic.Int64
		w.start(func(_ *process, s *setup) {
			s.PollEvery = time.Second
			s.sweep, s.reconcile = time.Hour, time.Hour
			s.hooks = []redis.Hook{spy(func(cmd redis.Cmder) error {
				if strings.HasPrefix(cmd.Name(), "eval") && strings.Contains(fmt.Sprint(cmd.Args()), tasks.ProvisionQueue(account)) {
					scripts.Add(1)
				}
				return nil
			})}
		})
		time.Sleep(time.Minute)
		want(t, "scripts of a lane that has had no job", scripts.Load(), 0)
		w.enqueue("shop")
		w.awaitEnd(time.Minute, "shop")
		before := scripts.Load()
		time.Sleep(5 * time.Minute)
		// asynq looks for expired leases once a minute, in each queue.
		if n := scripts.Load() - before; n > 5*8 {
			t.Errorf("%d scripts in 5 idle minutes", n)
		}
	})
}

func TestAPausedAccountMakesNoNewCallUntilItIsResumed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true, Latency: 200 * time.Millisecond})
		w.start()
		w.start()
		w.cloud.FailName("lost", camstest.Fault{Created: true, Reply: camstest.ReplyReset})
		w.enqueue("lost")
		w.await("a call", time.Minute, func() bool { return w.cloud.Calls("CreateInstance") > 0 })
		jobs := names("shop", 100)
		w.enqueue(jobs...)
		time.Sleep(time.Second)
		if err := w.ledger.PauseLane(t.Context(), account, "a wrong file"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // what was on its way
		before := w.cloud.Calls("CreateInstance")
		if before < 10 || before > 90 {
			t.Fatalf("%d calls before the pause: the test shows nothing", before)
		}
		w.awaitEnd(10*time.Minute, "lost") // what may have been made is looked for all the same
		want(t, "calls while it is paused", w.cloud.Calls("CreateInstance")-before, 0)

		if err := w.ledger.ResumeLane(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it took %v to go on", took)
		}
	})
}

// A key that has expired fails no job, and is asked about by one call at a time.
func TestJobsBehindAnExpiredKeyAreAllCreatedWhenItIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		expired := camstest.Fault{Reply: camstest.ReplyError, Status: 400, Code: "InvalidAccessKeyId.Inactive"}
		w.cloud.Always("ListInstance", &expired)
		w.cloud.Always("CreateInstance", &expired)
		seldom := func(_ *process, s *setup) { s.PollEvery = 20 * time.Second }
		w.start(seldom)
		w.start(seldom)
		jobs := names("shop", 200)
		w.enqueue(jobs...)
		time.Sleep(time.Hour)
		if n := w.cloud.Calls("ListInstance") + w.cloud.Calls("CreateInstance"); n > 80 {
			t.Errorf("%d calls in an hour, want one each 5 min after the first few", n)
		}
		lanes, err := w.ledger.Lanes(t.Context(), []string{account})
		if err != nil || lanes[0].Trip == nil || lanes[0].Trip.Code != "InvalidAccessKeyId.Inactive" {
			t.Errorf("the lane does not say why it waits: %+v, %v", lanes, err)
		}
		for _, id := range jobs {
			if r := w.record(id); r.State != tasks.StateQueued || r.Tries != 0 {
				t.Fatalf("job %s is %s after %d tries, want queued after none", id, r.State, r.Tries)
			}
		}

		w.cloud.Always("ListInstance", nil)
		w.cloud.Always("CreateInstance", nil)
		start := time.Now()
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)
		if took := time.Since(start); took > 6*time.Minute {
			t.Errorf("all were created %v after the key was renewed; the next probe comes within 5 min", took)
		}
	})
}

// An operator who has renewed a key does not wait for the next probe.
func TestResumeProbesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		w.cloud.Always("CreateInstance", &camstest.Fault{Reply: camstest.ReplyForbidden})
		w.start(func(_ *process, s *setup) { s.PollEvery = time.Minute })
		jobs := names("shop", 20)
		w.enqueue(jobs...)
		time.Sleep(time.Hour)
		w.cloud.Always("CreateInstance", nil)
		if err := w.ledger.ResumeLane(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w.awaitEnd(10*time.Minute, jobs...)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("it took %v, want a probe at once", took)
		}
	})
}

// One urgent job does not wait for an import, and many urgent ones do not stop it.
func TestUrgentJobsGoFirstAndTheImportGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen calls
		w := newCluster(t, camstest.Config{Calm: true, OnRequest: seen.note})
		slowly := func(_ *process, s *setup) { s.Lanes[0].Rate = 5 }
		w.start(slowly)
		w.start(slowly)
		w.enqueue(names("import", 400)...)
		w.await("the import's beginning", time.Minute, func() bool { return seen.len() > 10 })
		start := time.Now()
		w.enqueueHigh("urgent")
		w.awaitEnd(time.Minute, "urgent")
		if took := seen.at["urgent"].Sub(start); took > 3*time.Second {
			t.Errorf("the urgent job was called after %v, with more than a minute of work before it", took)
		}

		from := seen.len()
		w.enqueueHigh(names("flood", 300)...)
		time.Sleep(30 * time.Second)
		seen.mu.Lock()
		flood, imported := 0, 0
		for _, name := range seen.order[from:] {
			if strings.HasPrefix(name, "flood") {
				flood++
			} else {
				imported++
			}
		}
		seen.mu.Unlock()
		if flood < 60 || imported < 15 {
			t.Errorf("in 30 s %d of the flood and %d of the import were called, want most of the flood and a fifth of the import", flood, imported)
		}
	})
}

// An operator's limit holds for every process at once, and is taken back as quickly.
func TestALimitHoldsForEveryProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen calls
		w := newCluster(t, camstest.Config{Calm: true, OnRequest: seen.note})
		for range 3 {
			w.start(func(_ *process, s *setup) { s.Lanes[0].Rate = 10 })
		}
		w.enqueue(names("shop", 500)...)
		for _, tt := range []struct {
			limit    float64
			min, max int // calls in 10 s
		}{{0, 95, 102}, {2, 18, 22}, {0, 95, 102}} {
			if err := w.ledger.LimitLane(t.Context(), account, tt.limit); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			from := seen.len()
			time.Sleep(10 * time.Second)
			if n := seen.len() - from; n < tt.min || n > tt.max {
				t.Errorf("at a limit of %v there are %d calls in 10 s, want %d to %d", tt.limit, n, tt.min, tt.max)
			}
		}
	})
}

// A throttled job is called again with the next slot, and not when asynq brings it
// back: the last job of an import would wait for that.
func TestAThrottledJobTakesTheNextSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen calls
		w := newCluster(t, camstest.Config{Calm: true, OnRequest: seen.note})
		w.start()
		w.cloud.FailName("shop", camstest.Fault{Reply: camstest.ReplyThrottled, RetryAfter: 300 * time.Millisecond})
		w.enqueue("shop")
		start := time.Now()
		w.await("the second call", time.Minute, func() bool { return w.cloud.Calls("CreateInstance") == 2 })
		w.awaitEnd(time.Minute, "shop")
		if took := seen.at["shop"].Sub(start); took < 300*time.Millisecond || took > 900*time.Millisecond {
			t.Errorf("the second call came %v after the job, want soon after the pause that the API asked for", took)
		}
		if r := w.record("shop"); r.Tries != 1 {
			t.Errorf("%d tries, want one: a throttled call costs none", r.Tries)
		}
	})
}

// While turns wait for the quota, the rest stays in the queue, where another
// process can take it and an urgent job can go before it.
func TestAProcessTakesNoMoreThanItCanSoonCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		for range 4 {
			w.start(func(_ *process, s *setup) { s.Lanes[0].Rate = 4 })
		}
		w.enqueue(names("shop", 300)...)
		time.Sleep(20 * time.Second)
		most := 0
		for range 10 {
			time.Sleep(time.Second)
			info, err := w.inspect.GetQueueInfo(tasks.ProvisionQueue(account))
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, info.Active)
			if info.Retry > 4 {
				t.Errorf("%d jobs were given back: too many had been taken", info.Retry)
			}
		}
		if most > 12 {
			t.Errorf("%d jobs were taken at once by four processes at 4 calls a second", most)
		}
	})
}

// A gate that counts a task that never got its turn opens again.
func TestATaskThatIsNoneDoesNotShutTheGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		w.start(func(_ *process, s *setup) { s.Lanes[0].Rate, s.Lanes[0].Concurrency = 2, 1 })
		client := asynq.NewClientFromRedisClient(w.rdb)
		for i := range 3 {
			_, err := client.Enqueue(asynq.NewTask("x", nil), asynq.Queue(tasks.ProvisionQueue(account)),
				asynq.TaskID(fmt.Sprint("broken-", i)))
			if err != nil {
				t.Fatal(err)
			}
			w.rdb.HSet(t.Context(), fmt.Sprintf("asynq:{%s}:t:broken-%d", tasks.ProvisionQueue(account), i), "msg", "garbage")
		}
		w.enqueue("shop")
		w.awaitEnd(5*time.Minute, "shop")
		w.wantCreated("shop")
	})
}

// A fast account's tasks are taken by several servers at one gate, and none of them
// misses one.
func TestAFastLaneIsServedBySeveralServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		var servers atomic.Int64
		w.start(func(_ *process, s *setup) {
			s.PollEvery = time.Hour // a task that is missed stays where it is
			s.Lanes[0].Rate = 2000
			s.asynq = func(c *asynqConfig) {
				if c.Queues[tasks.ProvisionQueue(account)] > 0 {
					servers.Add(1)
				}
			}
		})
		for round := range 20 {
			jobs := names(fmt.Sprint("round-", round), 5)
			w.enqueue(jobs...)
			w.awaitEnd(time.Minute, jobs...)
		}
		want(t, "servers of the lane", servers.Load(), 4)
	})
}

// While the API refuses creates and lets lists through, what a lost call has made is
// found all the same.
func TestLostAnswersAreFoundWhileCreatesAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		w.start(func(_ *process, s *setup) { s.PollEvery = 10 * time.Second })
		lost := names("lost", 20)
		for _, id := range lost {
			w.cloud.FailName(id, camstest.Fault{Created: true, Reply: camstest.ReplyReset})
		}
		w.enqueue(lost...)
		w.await("every call", time.Minute, func() bool { return w.cloud.Calls("CreateInstance") == len(lost) })
		w.cloud.Always("CreateInstance", &camstest.Fault{Reply: camstest.ReplyForbidden})
		waiting := names("shop", 20)
		w.enqueue(waiting...)
		w.awaitEnd(5*time.Minute, lost...)
		w.wantCreated(lost...)
		for _, id := range waiting {
			if r := w.record(id); r.State != tasks.StateQueued {
				t.Errorf("job %s is %s while creates are refused, want queued", id, r.State)
			}
		}
	})
}
