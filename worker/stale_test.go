package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// asynq dates the lease of a task when it begins to look for one, and the gate may keep
// that look for as long as there is nothing to take. A task that is taken after that has a
// lease of its own all the same: with one that is over asynq would forget to take the
// finished task out of its queue, and a living worker would be taken for gone.
func TestATaskThatComesAfterALongWaitIsFinishedAtOnce(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(w *cluster, id string){
		"nothing to do": func(w *cluster, id string) { time.Sleep(10 * time.Minute); w.enqueue(id) },
		"a pause": func(w *cluster, id string) {
			if err := w.ledger.PauseLane(w.t.Context(), account, "ticket 17"); err != nil {
				w.t.Fatal(err)
			}
			w.enqueue(id)
			time.Sleep(10 * time.Minute)
			if err := w.ledger.ResumeLane(w.t.Context(), account); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{Calm: true})
			w.start()
			w.enqueue("first") // the lane has its server
			w.awaitEnd(time.Minute, "first")
			// asynq waits at the gate of one of the lane's two queues, by chance.
			for _, id := range names("shop", 6) {
				hold(w, id)
				w.awaitEnd(20*time.Second, id)
				time.Sleep(time.Second)
				q, err := w.inspect.GetQueueInfo(tasks.ProvisionQueue(account))
				if err != nil {
					t.Fatal(err)
				}
				want(t, "tasks left in the queue", q.Size, 0)
			}
			w.wantCreated(names("shop", 6)...)
			if strings.Contains(w.log.String(), "a worker is gone") {
				t.Error("a living worker is said to be gone")
			}
		})
	}
}
