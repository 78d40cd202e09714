package worker_test

import (
	"context"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

func TestAJobIsCreatedAndItsReceiverTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.start()
		w.enqueue("shop")
		w.awaitEnd(time.Minute, "shop")
		w.wantCreated("shop")
		if n := w.receiver.received("shop"); n != 1 {
			t.Errorf("its receiver was told %d times, want once", n)
		}
		if keys := w.mini.Keys(); len(keys) > 40 {
			t.Errorf("%d keys are left: %q", len(keys), keys)
		}
	})
}

// TestEveryFaultOfTheCloud gives every fault to the first call of some jobs,
// with and without the instance.
func TestEveryFaultOfTheCloud(t *testing.T) {
	t.Parallel()
	// Whoever is told so by a gateway that let the call through is lost: nothing in
	// the answer gives it away.
	lies := map[camstest.Reply]bool{camstest.ReplyThrottled: true, camstest.ReplyForbidden: true, camstest.ReplyPage: true}
	final := map[camstest.Reply]bool{camstest.ReplyXML: true, camstest.ReplyRejected: true}
	for _, made := range []bool{false, true} {
		bubble(t, map[bool]string{false: "nothing was made", true: "and yet it was made"}[made], func(t *testing.T) {
			w := newCluster(t, camstest.Config{})
			w.start()
			var ends, fails, held []string
			for _, reply := range camstest.Replies() {
				if made && lies[reply] {
					continue
				}
				jobs := names(reply.String(), 2)
				for _, id := range jobs {
					w.cloud.FailName(id, camstest.Fault{Reply: reply, Created: made, Status: 400, Code: "Biz.Whatever"})
				}
				switch {
				case final[reply]:
					fails = append(fails, jobs...)
				case reply == camstest.ReplyContradiction && !made:
					// It named an instance that no look shows: only an operator can tell.
					held = append(held, jobs...)
				default:
					ends = append(ends, jobs...)
				}
				w.enqueue(jobs...)
			}
			w.awaitEnd(time.Hour, slices.Concat(fails, ends, held)...)
			w.wantCreated(ends...)
			for _, id := range held {
				r := w.record(id)
				if r.State != tasks.StateHeld || r.Code != tasks.CodeContradicted || len(r.Candidates) != 1 || r.Candidates[0] != r.Named || w.receiver.received(id) == 0 {
					t.Errorf("job %s is %s (%s) with the candidates %v, want held, with the instance that was named, and told", id, r.State, r.Code, r.Candidates)
				}
			}
			for _, id := range fails {
				if r := w.record(id); r.State != tasks.StateFailed || w.cloud.Calls("CreateInstance") == 0 || w.receiver.received(id) == 0 {
					t.Errorf("job %s is %s, want failed and told", id, r.State)
				}
			}
		})
	}
}

func TestAStormOfFaultsUnderAQuota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{FaultRate: 0.3, Quota: 20, ListQuota: 20, ListLag: 30 * time.Second})
		w.start()
		w.start()
		jobs := names("storm", 40)
		w.enqueue(jobs...)
		w.awaitEnd(24*time.Hour, jobs...)
		w.wantCreated(jobs...)
	})
}

func TestHoursWithoutTheAPICostNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		p := w.start(func(_ *process, s *setup) { // hours of looking at empty queues are seconds of real time
			s.sweep = 10 * time.Minute
			s.asynq = func(c *asynqConfig) { c.TaskCheckInterval, c.DelayedTaskCheckInterval = time.Minute, time.Minute }
			s.PollEvery = time.Minute
		})
		jobs := names("patient", 3)
		p.api.pull()
		w.enqueue(jobs...)
		time.Sleep(150 * time.Minute)
		for range 18 {
			w.cloud.Next("ListInstance", camstest.Fault{Reply: camstest.Reply503})
		}
		p.api.push()
		time.Sleep(10 * time.Minute)
		for _, id := range jobs {
			if r := w.record(id); r.State != tasks.StateQueued || r.Tries != 0 {
				t.Errorf("job %s is %s after %d tries, want queued after none", id, r.State, r.Tries)
			}
		}
		w.awaitEnd(2*time.Hour, jobs...)
		w.wantCreated(jobs...)
	})
}

// guarded is an API that something happens to around its CreateInstance.
type guarded struct {
	*cams.Client
	before, after func()
}

func (g guarded) CreateInstance(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
	if g.before != nil {
		g.before()
	}
	i, err := g.Client.CreateInstance(ctx, q)
	if g.after != nil {
		g.after()
	}
	return i, err
}

func TestAWorkerThatIsKilledAfterItsMark(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name          string
		before, after bool // the call
		calls         int  // by both workers together
	}{
		{name: "before the call", before: true, calls: 1},
		{name: "while the call is answered", calls: 1},
		{name: "before it could write the answer down", after: true, calls: 1},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{})
			killed := make(chan struct{})
			w.start(func(p *process, s *setup) {
				die := func() {
					p.kill()
					close(killed)
				}
				g := guarded{Client: s.Lanes[0].API.(*cams.Client)}
				switch {
				case tt.before:
					g.before = die
				case tt.after:
					g.after = die
				default:
					w.cloud.FailName("shop", camstest.Fault{Created: true, Reply: camstest.ReplyHang})
					go func() {
						for w.cloud.Created("shop") == 0 {
							time.Sleep(time.Second)
						}
						die()
					}()
				}
				s.Lanes[0].API = g
			})
			w.enqueue("shop")
			<-killed
			if r := w.record("shop"); r.State != tasks.StateCalling {
				t.Errorf("the job is %s, want calling", r.State)
			}
			w.start()
			w.awaitEnd(20*time.Minute, "shop")
			w.wantCreated("shop")
			if n := w.cloud.Calls("CreateInstance"); n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
		})
	}
}

// slow makes each create take its time before anything happens.
func slow(d time.Duration) camstest.Config {
	return camstest.Config{OnRequest: func(op string, _ url.Values) {
		if op == "CreateInstance" {
			time.Sleep(d)
		}
	}}
}

func TestAWorkerThatLosesRedisInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	bubble(t, "with asynq alone there are two calls", func(t *testing.T) {
		w := newCluster(t, slow(20*time.Second))
		first := w.startBare("shop")
		w.enqueueBare()
		time.Sleep(5 * time.Second)
		first.pull()
		w.startBare("shop")
		time.Sleep(3 * time.Minute)
		if n := w.cloud.Created("shop"); n != 2 {
			t.Errorf("%d instances: the test no longer shows the trap", n)
		}
	})
	bubble(t, "here there is one", func(t *testing.T) {
		w := newCluster(t, slow(20*time.Second))
		patient := func(_ *process, s *setup) { s.CallTimeout = 30 * time.Second }
		first := w.start(patient)
		w.enqueue("shop")
		time.Sleep(5 * time.Second)
		first.redis.pull()
		w.start(patient)
		w.awaitEnd(10*time.Minute, "shop")
		w.wantCreated("shop")
		if n := w.cloud.Calls("CreateInstance"); n != 1 {
			t.Errorf("%d calls, want one", n)
		}
	})
}

func TestAGracefulStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, slow(10*time.Second))
		jobs := names("stop", 20)
		w.enqueue(jobs...)
		p := w.start(func(_ *process, s *setup) { s.Lanes[0].Concurrency = 4 })
		w.await("the first calls", time.Minute, func() bool { return w.cloud.Calls("CreateInstance") == 4 })
		p.stop()
		if n := w.cloud.Calls("CreateInstance"); n != 4 {
			t.Errorf("%d calls, 4 of them before the stop", n)
		}
		count := map[tasks.State]int{}
		for _, id := range jobs {
			count[w.record(id).State]++
		}
		want(t, "states", count, map[tasks.State]int{tasks.StateCreated: 4, tasks.StateQueued: 16})

		w.start()
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)
	})
}
