package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// A lost answer is looked up when it is due, however long the backlog is that the
// queue has put before it.
func TestALostAnswerDoesNotWaitBehindTheBacklog(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newWorld(t, camstest.Config{Calm: true, Latency: 2 * time.Second})
		w.cloud.FailName("lost", camstest.Fault{Created: true, Reply: camstest.ReplyReset})
		w.start(func(_ *process, s *setup) { s.Lanes[0].Concurrency = 1 })
		w.enqueue("lost")
		var backlog []string
		for i := range 60 { // five minutes of work and more, at two requests each
			backlog = append(backlog, fmt.Sprintf("job-%d", i))
		}
		w.enqueue(backlog...)
		w.awaitEnd(time.Minute, "lost")
		if r := w.record("lost"); !r.Adopted {
			t.Errorf("the record does not say that the instance was found: %+v", r.Progress)
		}
		if left := w.record(backlog[59]).State; left != tasks.StateQueued {
			t.Errorf("the backlog's last job is %s: the test shows nothing", left)
		}
		w.wantCreated("lost")
	})
}

// A worker that dies in a call is found out when the call's deadline has passed,
// not when asynq gives its task to another.
func TestTheJobOfADeadWorkerIsJudgedAtItsDeadline(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newWorld(t, camstest.Config{})
		killed := make(chan struct{})
		w.start(func(p *process, s *setup) {
			s.Lanes[0].API = guarded{Client: s.Lanes[0].API.(*cams.Client), after: func() {
				p.kill()
				close(killed)
			}}
		})
		w.enqueue("shop")
		<-killed
		begin := time.Now()
		w.start()
		w.awaitEnd(20*time.Minute, "shop")
		w.wantCreated("shop")
		if took := time.Since(begin); took > 50*time.Second {
			t.Errorf("it took %v; the call and its settling have 30s, and the first look comes 2s later", took)
		}
	})
}

type doubts struct {
	due  []string
	lead bool
}

func (d doubts) InDoubt(_ context.Context, accounts []string) ([]string, error) { return accounts, nil }

func (d doubts) Doubtful(context.Context, string, int) ([]string, error) { return d.due, nil }

func (d doubts) Lead(context.Context, string, string, time.Duration) (bool, error) {
	return d.lead, nil
}

// Only the process that leads gives turns, since each costs a list of the quota.
func TestOnlyTheLeaderReconciles(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		for _, lead := range []bool{false, true} {
			var mu sync.Mutex
			turns := map[string]int{}
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			worker.Reconciler{
				Accounts: []string{"acme"}, Doubts: doubts{due: []string{"a", "b"}, lead: lead},
				Turn: func(_ context.Context, ref tasks.Ref) error {
					mu.Lock()
					defer mu.Unlock()
					turns[ref.String()]++
					return &worker.Later{}
				},
			}.Run(ctx)
			cancel()
			n := 0
			if lead {
				n = 3 // at 0 s, 1 s and 2 s
			}
			want(t, "turns of a", turns["acme/a"], n)
			want(t, "turns of b", turns["acme/b"], n)
		}
	})
}
