package worker_test

import (
	"testing"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
)

// What a retried job meets: the cloud may have changed since it failed.
func TestARetriedJobNeverMakesASecondInstance(t *testing.T) {
	t.Parallel()
	lost := camstest.Fault{Reply: camstest.ReplyReset}
	tests := []struct {
		name string
		// calls are how the first calls end, until the job has failed.
		calls []camstest.Fault
		tries int
		// appear is how many instances turn up after it has failed.
		appear  int
		state   tasks.State
		code    string
		adopted bool
	}{
		{name: "it was refused", calls: []camstest.Fault{{Reply: camstest.ReplyRejected}}, state: tasks.StateCreated, code: "OK"},
		{name: "it was refused, and somebody else made one", calls: []camstest.Fault{{Reply: camstest.ReplyRejected}}, appear: 1,
			state: tasks.StateFailed, code: tasks.CodeExists},
		{name: "it had no answer, and none appeared", calls: []camstest.Fault{lost, lost}, tries: 2, state: tasks.StateCreated, code: "OK"},
		{name: "it had no answer, and one appeared late", calls: []camstest.Fault{lost, lost}, tries: 2, appear: 1,
			state: tasks.StateCreated, code: "OK", adopted: true},
		{name: "it had no answer, and several appeared late", calls: []camstest.Fault{lost, lost}, tries: 2, appear: 2,
			state: tasks.StateHeld, code: tasks.CodeSeveral},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{})
			w.start(func(_ *process, s *setup) { s.MaxTries = tt.tries })
			w.cloud.FailName("shop", tt.calls...)
			w.enqueue("shop")
			w.awaitEnd(time.Hour, "shop")
			failed := w.record("shop")
			want(t, "state before", failed.State, tasks.StateFailed)
			for range tt.appear {
				w.cloud.Add("", cams.Instance{ChannelType: "VIBER", InstanceName: "shop"})
			}
			o := operate.Operator{Store: w.ledger, Queue: w.queue}
			if err := o.Retry(t.Context(), operate.Job(failed.Ref()))[0]; err != nil {
				t.Fatal(err)
			}
			w.awaitEnd(time.Hour, "shop")
			r := w.record("shop")
			want(t, "state, code, adopted", []any{r.State, r.Code, r.Adopted}, []any{tt.state, tt.code, tt.adopted})
			want(t, "instances", w.cloud.Created("shop"), max(1, tt.appear))
			w.receiver.mu.Lock()
			defer w.receiver.mu.Unlock()
			want(t, "events", len(w.receiver.ids["shop"]), 2)
		})
	}
}
