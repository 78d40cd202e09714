package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// A lost answer is looked up when it is due, however long the backlog is that the
// queue has put before it.
func TestALostAnswerDoesNotWaitBehindTheBacklog(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true, Latency: 2 * time.Second})
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
		w := newCluster(t, camstest.Config{})
		killed := make(chan struct{})
		w.start(func(p *process, s *setup) {
			s.Lanes[0].API = guarded{Client: s.Lanes[0].API.(*cams.Client), after: func() {
				p.kill()
				close(killed)
			}}
		})
		w.enqueue("shop")
		<-killed
		start := time.Now()
		w.start()
		w.awaitEnd(20*time.Minute, "shop")
		w.wantCreated("shop")
		if took := time.Since(start); took > 50*time.Second {
			t.Errorf("it took %v; the call and its settling have 30s, and the first look comes 2s later", took)
		}
	})
}
