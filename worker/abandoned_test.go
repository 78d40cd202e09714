package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// soon is how long a job may stand whose worker is gone.
const soon = 9 * time.Second

// holding makes a process hold every job that it takes before its first call, as one
// that waits for the quota, until let go.
func holding(letGo <-chan struct{}) func(*process, *setup) {
	return func(_ *process, s *setup) {
		s.PollEvery = time.Second
		s.Lanes[0].List = &fakeLimiter{wait: func(ctx context.Context) error {
			select {
			case <-letGo:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
	}
}

// watching is a process that looks as often as one does by default, and counts the
// tasks of other workers that it puts back.
func watching(back *atomic.Int64) func(*process, *setup) {
	return func(_ *process, s *setup) {
		s.PollEvery = time.Second
		s.Hooks.Swept = func(kind string, n int) {
			if kind == "abandoned" {
				back.Add(int64(n))
			}
		}
	}
}

// taken waits until workers have taken n tasks of a queue.
func (w *cluster) taken(queue string, n int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%d tasks of %s taken", n, queue), 2*time.Minute, func() bool {
		leases, err := w.queue.Leases(w.t.Context(), queue)
		return err == nil && len(leases[0]) == n
	})
}

// wantSoon holds the time of each job's call against the moment in which its worker
// was lost.
func (w *cluster) wantSoon(seen *calls, lost time.Time, limit time.Duration, ids ...string) {
	w.t.Helper()
	var last time.Duration
	for _, id := range ids {
		seen.mu.Lock()
		at, called := seen.at[id]
		seen.mu.Unlock()
		if !called {
			w.t.Errorf("job %s was not called", id)
		}
		last = max(last, at.Sub(lost))
	}
	if last > limit {
		w.t.Errorf("the last of %d jobs was called %v after its worker was lost, want at most %v", len(ids), last, limit)
	}
	w.t.Logf("the last of %d jobs was called after %v", len(ids), last)
}

// Jobs that a worker had taken and not called go on in another worker, whatever became
// of the first, and when: asynq alone takes them back after one to two minutes.
func TestJobsOfAWorkerThatIsGoneGoOn(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*process){
		"killed":             (*process).kill,
		"frozen":             func(p *process) { p.commands.freeze() },
		"cut off from Redis": func(p *process) { p.redis.pull() },
	} {
		for _, after := range []time.Duration{0, 2300 * time.Millisecond, 4900 * time.Millisecond} {
			for _, restarted := range []bool{false, true} {
				bubble(t, fmt.Sprintf("%s after %v, restarted %t", name, after, restarted), func(t *testing.T) {
					var seen calls
					var back atomic.Int64
					w := newCluster(t, camstest.Config{OnRequest: seen.note})
					p := w.start(holding(nil))
					t.Cleanup(p.commands.thaw)
					shops, urgent := names("shop", 3), names("urgent", 2)
					w.enqueue(shops...)
					w.enqueueHigh(urgent...)
					w.taken(tasks.ProvisionQueue(account), 3)
					w.taken(tasks.HighQueue(account), 2)
					if !restarted {
						w.start(watching(&back))
					}
					time.Sleep(20*time.Second + after) // so that the heartbeat may be due at any time
					if n := back.Load(); n != 0 {
						t.Errorf("%d tasks of a live worker were put back", n)
					}
					lost := time.Now()
					lose(p)
					if restarted {
						w.start(watching(&back))
					}
					all := append(shops, urgent...)
					w.awaitEnd(4*time.Minute, all...)
					w.wantSoon(&seen, lost, soon, all...)
					w.wantCreated(all...)
					if n := back.Load(); n != 5 {
						t.Errorf("%d tasks were put back, want 5", n)
					}
				})
			}
		}
	}
}

// A worker that had very many jobs leaves them to all the others, at the account's pace.
func TestManyJobsOfAWorkerThatIsGoneGoOnAtTheAccountsPace(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		const n, rate, quota = 150, 400, 50
		var seen calls
		var back atomic.Int64
		w := newCluster(t, camstest.Config{OnRequest: seen.note})
		fast := func(_ *process, s *setup) { s.Lanes[0].Rate, s.Lanes[0].Concurrency = rate, 200 }
		p := w.start(holding(nil), fast)
		shops := names("shop", n)
		w.enqueue(shops...)
		w.taken(tasks.ProvisionQueue(account), n)
		for range 2 {
			w.start(watching(&back), func(_ *process, s *setup) { s.Lanes[0].Rate = quota })
		}
		time.Sleep(20 * time.Second)
		lost := time.Now()
		p.kill()
		w.awaitEnd(4*time.Minute, shops...)
		w.wantSoon(&seen, lost, soon+n/quota*time.Second, shops...)
		w.wantCreated(shops...)
		if got := back.Load(); got != n {
			t.Errorf("%d tasks were put back, want %d, each by one process", got, n)
		}
		seen.mu.Lock()
		defer seen.mu.Unlock()
		inSecond := map[int64]int{}
		for _, at := range seen.at {
			inSecond[at.Unix()]++
		}
		for second, calls := range inSecond {
			if calls > quota+10 { // the limiter's burst
				t.Errorf("%d calls in second %d, and the quota is %d", calls, second, quota)
			}
		}
	})
}

// Tasks that were put back wait like others while the account is paused.
func TestJobsOfAWorkerThatIsGoneWaitWhileTheAccountIsPaused(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		var back atomic.Int64
		w := newCluster(t, camstest.Config{})
		p := w.start(holding(nil))
		w.enqueue("shop")
		w.taken(tasks.ProvisionQueue(account), 1)
		w.start(watching(&back))
		time.Sleep(time.Second) // its turn has been allowed, and waits for the quota
		if err := w.ledger.PauseLane(t.Context(), account, "a test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		p.kill()
		time.Sleep(time.Minute)
		if n, calls := back.Load(), w.cloud.Calls("CreateInstance"); n != 1 || calls != 0 {
			t.Errorf("%d tasks were put back and %d calls made while the account is paused, want 1 and 0", n, calls)
		}
		if err := w.ledger.ResumeLane(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		w.awaitEnd(10*time.Second, "shop")
		w.wantCreated("shop")
	})
}

// stuck is a receiver that never answers.
type stuck struct {
	mu    sync.Mutex
	asked int
}

func (s *stuck) Send(ctx context.Context, _, _ string, _ []byte) tasks.Delivery {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	<-ctx.Done()
	return tasks.Delivery{Result: tasks.DeliveryRetry, Reason: tasks.ReasonTimeout}
}

// Callbacks of jobs and of batches that a worker was telling are told by another.
func TestCallbacksOfAWorkerThatIsGoneAreTold(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*process){
		"killed": (*process).kill,
		"frozen": func(p *process) { p.commands.freeze() },
	} {
		bubble(t, name, func(t *testing.T) {
			var back atomic.Int64
			w := newCluster(t, camstest.Config{})
			p := w.start(withReceivers(), func(_ *process, s *setup) { s.Sender, s.PollEvery = new(stuck), time.Second })
			t.Cleanup(p.commands.thaw)
			w.enqueue("shop")
			w.enqueueBatch("march", "cafe")
			w.closeBatch("march", account)
			w.taken(tasks.QueueCallback, 3)
			w.start(withReceivers(), watching(&back))
			time.Sleep(13 * time.Second)
			lost := time.Now()
			lose(p)
			w.await("three callbacks", 4*time.Minute, func() bool {
				w.receiver.mu.Lock()
				defer w.receiver.mu.Unlock()
				return w.receiver.jobs["shop"] > 0 && w.receiver.jobs["cafe"] > 0 && len(w.receiver.batches) > 0
			})
			if took := time.Since(lost); took > soon+2*time.Second { // the look above
				t.Errorf("it took %v until all were told, want %v", took, soon)
			}
			if n := back.Load(); n != 3 {
				t.Errorf("%d tasks were put back, want 3", n)
			}
		})
	}
}

// asynq moves leases on every 5 s, which leaves no margin; the worker does it each second.
func TestALiveWorkerMovesItsLeasesOnEachSecond(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		letGo := make(chan struct{})
		w.start(holding(letGo))
		w.enqueue("shop")
		queue := tasks.ProvisionQueue(account)
		w.taken(queue, 1)
		last := int64(0)
		for i := range 12 {
			time.Sleep(1010 * time.Millisecond)
			leases, err := w.queue.Leases(t.Context(), queue)
			if err != nil || len(leases[0]) != 1 || leases[0]["shop"] <= last {
				t.Errorf("second %d: the leases are %v, %v; want one that ends after %d", i, leases, err, last)
			}
			last = leases[0]["shop"]
		}
		close(letGo)
		w.awaitEnd(10*time.Second, "shop")
		time.Sleep(2 * time.Second) // a look comes after the task's end
		if leases, err := w.queue.Leases(t.Context(), queue); err != nil || len(leases[0]) != 0 {
			t.Errorf("the leases after the end: %v, %v", leases, err)
		}
	})
}

// A call that takes long is left alone while its worker lives.
func TestALongCallOfALiveWorkerIsLeftAlone(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		var back atomic.Int64
		w := newCluster(t, slow(100*time.Second))
		patient := func(_ *process, s *setup) { s.CallTimeout = 3 * time.Minute }
		w.start(watching(&back), patient)
		w.enqueue("shop")
		w.await("a call", 5*time.Minute, func() bool { return w.cloud.Calls("CreateInstance") == 1 })
		w.start(watching(&back), patient)
		w.awaitEnd(5*time.Minute, "shop")
		w.wantCreated("shop")
		if n, calls := back.Load(), w.cloud.Calls("CreateInstance"); n != 0 || calls != 1 {
			t.Errorf("%d tasks were put back and %d calls made, want 0 and 1", n, calls)
		}
	})
}

// While Redis stands still no lease moves, and no worker is gone.
func TestAfterRedisStoodStillNoWorkerIsTakenForGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		letGo := make(chan struct{})
		var back atomic.Int64
		w := newCluster(t, camstest.Config{})
		p := w.start(holding(letGo))
		w.enqueue("shop")
		w.taken(tasks.ProvisionQueue(account), 1)
		watcher := w.start(watching(&back))
		time.Sleep(13 * time.Second)
		p.commands.freeze()
		watcher.commands.freeze()
		time.Sleep(20 * time.Second)
		watcher.commands.thaw()
		time.Sleep(time.Second) // the watcher's word comes through first
		p.commands.thaw()
		time.Sleep(20 * time.Second)
		if n := back.Load(); n != 0 {
			t.Errorf("%d tasks of a live worker were put back", n)
		}
		close(letGo)
		w.awaitEnd(10*time.Second, "shop")
		w.wantCreated("shop")
	})
}

// A worker that was taken for gone and goes on finds its tasks with others, or done:
// that is no error, and it makes no second call.
func TestAWorkerThatThawsFindsItsTasksWithOthers(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{
		8500 * time.Millisecond, 9500 * time.Millisecond, 13500 * time.Millisecond, 20 * time.Second, 50 * time.Second,
	} {
		bubble(t, after.String(), func(t *testing.T) {
			letGo := make(chan struct{})
			var back atomic.Int64
			w := newCluster(t, slow(2*time.Second))
			p := w.start(holding(letGo))
			shops := names("shop", 4)
			w.enqueue(shops...)
			w.taken(tasks.ProvisionQueue(account), 4)
			w.start(watching(&back))
			time.Sleep(13 * time.Second)
			p.commands.freeze()
			time.Sleep(after)
			p.commands.thaw()
			close(letGo)
			w.awaitEnd(2*time.Minute, shops...)
			time.Sleep(2 * time.Minute)
			w.wantCreated(shops...)
			if n := back.Load(); n < 4 {
				t.Errorf("%d tasks were put back, want 4: the test shows nothing", n)
			}
			if calls := w.cloud.Calls("CreateInstance"); calls != 4 {
				t.Errorf("%d calls for 4 jobs", calls)
			}
			if log := w.log.String(); strings.Contains(log, "Could not") {
				t.Error("asynq complains about a task that another worker has")
			}
			left, archived, unleased, err := w.queue.Survey(t.Context(), account)
			if err != nil || left != 0 || len(archived)+len(unleased) != 0 {
				t.Errorf("left in the queue: %d tasks, archived %q, without a lease %q, %v", left, archived, unleased, err)
			}
		})
	}
}

var _ worker.Sender = (*stuck)(nil)

// What the call of a worker that is gone has made is found as soon as its task is back,
// and not only when the call's deadline has passed.
func TestWhatAWorkerThatIsGoneHasMadeIsFoundBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		p := w.start(func(_ *process, s *setup) { s.CallTimeout = time.Minute })
		var back atomic.Int64
		w.cloud.FailName("shop", camstest.Fault{Created: true, Reply: camstest.ReplyHang})
		w.enqueue("shop")
		w.await("the instance", time.Minute, func() bool { return w.cloud.Created("shop") == 1 })
		w.start(watching(&back))
		lost := time.Now()
		p.kill()
		w.awaitEnd(4*time.Minute, "shop")
		w.wantCreated("shop")
		if took := time.Since(lost); took > soon+5*time.Second {
			t.Errorf("it took %v, and the call's deadline is 75 s after it began", took)
		}
	})
}
