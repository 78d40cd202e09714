package worker_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// TestACallOnTheWireIsNotJudged delivers a job again while its call is under way,
// to a worker that gives an instance less time to appear than a call may take.
func TestACallOnTheWireIsNotJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, config(func(c *worker.Config) { c.SettleWindow = 3 * time.Second }), func(d *fixture, c *worker.Config) {
			c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
				time.Sleep(14 * time.Second)
				return d.cloud.CreateInstance(ctx, q)
			}}
		})
		d.ledger.put(queued())
		var first sync.WaitGroup
		first.Go(func() { noError(t, d.Process(t.Context(), job1)) })
		time.Sleep(time.Second)
		r := d.toEnd(t)
		first.Wait()
		want(t, "state, creates", []any{r.State, d.cloud.creates}, []any{tasks.StateCreated, 1})
	})
}

// While a call may be on the wire, a look takes one new instance that no job has, and
// judges nothing else.
func TestOnlyOneInstanceIsTakenWhileACallIsOnTheWire(t *testing.T) {
	for name, tt := range map[string]struct {
		made  int
		taken bool // by another job
		state tasks.State
	}{
		"none": {0, false, tasks.StateCalling}, "one": {1, false, tasks.StateCreated},
		"one that another job has": {1, true, tasks.StateCalling}, "two": {2, false, tasks.StateCalling},
	} {
		bubble(t, name, func(t *testing.T) {
			d := newFixture(t)
			r := called(tasks.StateCalling, 0)
			r.Due = time.Now().Add(20 * time.Second)
			for range tt.made {
				i := d.cloud.add(r.Request.ChannelType, r.Request.InstanceName)
				if tt.taken {
					d.ledger.instances[i.InstanceID] = "job-0"
				}
			}
			d.ledger.put(r)
			r, err := d.turn(t)
			if tt.state == tasks.StateCalling {
				_ = later(t, err)
			}
			want(t, "state, creates", []any{r.State, d.cloud.creates}, []any{tt.state, 0})
		})
	}
}

// TestAnEmptyBaselineIsNoMissingOne asks the real ledger: a job that forgot that
// nothing stood there before its call would take a baseline after it.
func TestAnEmptyBaselineIsNoMissingOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueue("one")
		d := newFixture(t, answering(noAnswer()), config(func(c *worker.Config) { c.Store = w.ledger }))
		_ = later(t, d.Process(t.Context(), tasks.Ref{Account: account, ID: "one"}))
		r := w.record("one")
		want(t, "state, baseline", []any{r.State, r.Baseline}, []any{tasks.StateUncertain, &[]string{}})
	})
}

func TestAStopWaitsForTheLongestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, slow(100*time.Second))
		w.enqueue("one")
		p := w.start(func(_ *process, s *setup) { s.CallTimeout = 110 * time.Second })
		w.await("the call", time.Minute, func() bool { return w.cloud.Calls("CreateInstance") == 1 })
		p.stop()
		want(t, "state after the stop", w.record("one").State, tasks.StateCreated)
	})
}
