package worker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// refusing is an API that refuses a process, as one does whose host has a wrong clock.
type refusing struct {
	worker.API
	lists, creates atomic.Bool
	took           time.Duration // until the refusal of a create

	refused, underWay, most atomic.Int64
}

// start starts a process with this API.
func (f *refusing) start(w *cluster) *process {
	return w.start(func(_ *process, s *setup) { f.API, s.Lanes[0].API = s.Lanes[0].API, f })
}

func (f *refusing) all(refuse bool) {
	f.lists.Store(refuse)
	f.creates.Store(refuse)
}

func refusal(op string) error {
	return &cams.Error{Op: op, Sent: true, Status: 400, Code: "InvalidTimeStamp.Expired"}
}

func (f *refusing) CreateInstance(ctx context.Context, r cams.CreateInstanceRequest) (cams.Instance, error) {
	if !f.creates.Load() {
		return f.API.CreateInstance(ctx, r)
	}
	f.refused.Add(1)
	if n := f.underWay.Add(1); n > f.most.Load() {
		f.most.Store(n)
	}
	defer f.underWay.Add(-1)
	time.Sleep(f.took)
	return cams.Instance{}, refusal("CreateInstance")
}

func (f *refusing) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
	if !f.lists.Load() {
		return f.API.SearchPage(ctx, q)
	}
	f.refused.Add(1)
	return false, refusal("ListInstance")
}

func (w *cluster) trip() *tasks.Trip {
	w.t.Helper()
	lanes, err := w.ledger.Lanes(w.t.Context(), []string{account})
	if err != nil {
		w.t.Fatal(err)
	}
	return lanes[0].Trip
}

// A worker whose own clock is wrong stops the account once, for a moment, and then
// itself alone, until its clock is right again.
func TestAWorkerWithAFaultOfItsOwnHoldsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		var fault refusing
		fault.all(true)
		fault.start(w)
		sound := w.start()
		jobs := names("shop", 1000)
		start := time.Now()
		w.enqueue(jobs...)
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)
		if took := time.Since(start); took > 45*time.Second {
			t.Errorf("it took %v, want the 20 s of the quota and a few for the first refusal", took)
		}
		if n := fault.refused.Load(); n > 120 {
			t.Errorf("the API refused %d calls, want some at first and then one at a time, ever more seldom", n)
		}
		if trip := w.trip(); trip != nil {
			t.Errorf("the lane is tripped for all: %+v", trip)
		}
		if !strings.Contains(w.log.String(), "accepts others") {
			t.Error("the log does not say that it is this worker alone")
		}

		sound.stop()
		fault.all(false)
		jobs = names("later", 100)
		w.enqueue(jobs...)
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)
	})
}

// While it is refused alone it makes one call at a time, however long each takes.
func TestAWorkerThatIsRefusedAloneMakesOneCallAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		fault := refusing{took: 3 * time.Second}
		fault.creates.Store(true) // it may list
		fault.start(w)
		w.start()
		w.enqueue(names("shop", 3000)...)
		w.await("its own refusal", 30*time.Second, func() bool { return strings.Contains(w.log.String(), "accepts others") })
		time.Sleep(4 * time.Second) // what was under way
		before := fault.refused.Load()
		fault.most.Store(0)
		w.await("its next call", 45*time.Second, func() bool { return fault.refused.Load() > before })
		time.Sleep(3 * time.Second)
		if most := fault.most.Load(); most > 1 {
			t.Errorf("it made %d calls at once, want one at a time", most)
		}
	})
}

// While the account itself is refused, the sound workers try it: a probe of the other
// proves nothing, and makes all wait longer.
func TestAWorkerWithAFaultOfItsOwnLeavesTheProbesToTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		var fault, sound refusing
		fault.all(true)
		fault.start(w)
		sound.start(w)
		jobs := names("shop", 100)
		w.enqueue(jobs...)
		w.awaitEnd(10*time.Minute, jobs...)

		sound.all(true)
		w.enqueue(names("later", 100)...)
		time.Sleep(5 * time.Minute)
		faults, sounds := fault.refused.Load(), sound.refused.Load()
		time.Sleep(30 * time.Minute)
		faults, sounds = fault.refused.Load()-faults, sound.refused.Load()-sounds
		if faults > 1 || sounds < 5 {
			t.Errorf("in 30 min the worker with a fault of its own probed %d times and the sound one %d times", faults, sounds)
		}
		if w.trip() == nil {
			t.Error("the lane of an account that is refused is open")
		}
	})
}

// That others were let in says nothing for long: an account that is refused is refused
// for all, whatever was before.
func TestTheLastWorkerTripsTheLaneAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		var fault refusing
		fault.all(true)
		fault.start(w)
		sound := w.start()
		jobs := names("shop", 200)
		w.enqueue(jobs...)
		w.awaitEnd(10*time.Minute, jobs...)
		sound.stop()
		fault.all(false)
		time.Sleep(time.Hour)
		fault.all(true)
		w.enqueue("later")
		w.await("the lane's trip", 10*time.Minute, func() bool { return w.trip() != nil })
	})
}

// A worker that was let in itself is not one that others were let in beside.
func TestAKeyThatMayOnlyListTripsTheLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		fault := refusing{took: 3 * time.Second}
		w.start(func(_ *process, s *setup) { fault.API, s.Lanes[0].API, s.Lanes[0].Rate = s.Lanes[0].API, &fault, 5 })
		w.enqueue(names("shop", 600)...)
		time.Sleep(20 * time.Second)
		fault.all(true) // its lists trip the lane; the creates under way are refused after that
		time.Sleep(3500 * time.Millisecond)
		fault.lists.Store(false)
		time.Sleep(5 * time.Minute)
		if trip := w.trip(); trip == nil || trip.Action != worker.ActionCreate {
			t.Errorf("the lane stands at %+v, want it tripped by creates", trip)
		}
		if n := strings.Count(w.log.String(), "accepts others"); n > 0 {
			t.Errorf("the only worker says %d times that no other is refused", n)
		}
	})
}
