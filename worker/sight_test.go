package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/finalize"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// slowly makes the account's lane one of a call a second.
func slowly(s *setup) { s.Lanes[0].Rate = 1 }

// made counts the instances there are.
func (w *cluster) made() int { return len(w.cloud.Instances()) }

// blind is a queueWatcher that does not see some accounts while lost says so.
type blind struct {
	worker.QueueWatcher
	lost func(account string) bool
}

func (b blind) Poll(ctx context.Context, accounts []string) []worker.View {
	views := b.QueueWatcher.Poll(ctx, accounts)
	for i, name := range accounts {
		if b.lost(name) {
			views[i] = worker.View{Err: errors.New("its part of the cluster is away")}
		}
	}
	return views
}

// What the last look saw is worth nothing once it is old: a turn that is about to call
// looks then.
func TestAPauseIsObeyedByAWorkerThatTheLooksDoNotReach(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueue(names("shop", 120)...)
		w.start(func(_ *process, s *setup) {
			slowly(s)
			s.Watcher, s.PollEvery = deaf{s.Watcher}, time.Hour
		})
		time.Sleep(20 * time.Second)
		if w.made() < 10 {
			t.Fatalf("%d calls in 20 s: this cannot prove anything", w.made())
		}
		if err := w.ledger.PauseLane(t.Context(), account, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(worker.MaxPollAge + 2*time.Second)
		before := w.made()
		time.Sleep(30 * time.Second)
		if n := w.made(); n != before || n >= 120 {
			t.Errorf("%d calls, %d of them since all had to know of the pause", n, n-before)
		}
	})
}

func TestALaneThatCannotBeSeenIsNotCalledAndOthersAre(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueue(names("shop", 120)...)
		var lost atomic.Pointer[string]
		w.start(func(_ *process, s *setup) {
			slowly(s)
			other := s.Lanes[0]
			other.Account = "other"
			s.Lanes = append(s.Lanes, other)
			s.Watcher = blind{s.Watcher, func(name string) bool { p := lost.Load(); return p != nil && *p == name }}
		})
		lose := func(name string) { lost.Store(&name) }
		time.Sleep(10 * time.Second)

		lose("other")
		before := w.made()
		time.Sleep(20 * time.Second)
		if n := w.made() - before; n < 10 {
			t.Errorf("%d calls in 20 s while another lane cannot be seen", n)
		}

		lose(account)
		time.Sleep(worker.MaxPollAge + 2*time.Second)
		before = w.made()
		time.Sleep(30 * time.Second)
		if n := w.made() - before; n != 0 {
			t.Errorf("%d calls though it is not known whether the lane may call", n)
		}

		lost.Store(nil)
		time.Sleep(20 * time.Second)
		if n := w.made() - before; n < 10 {
			t.Errorf("%d calls in the 20 s since the lane is seen again", n)
		}
		for text, want := range map[string]int{"do not tell": 0, "cannot read the state of accounts from Redis": 2, "the state of every account can be read from Redis again": 1} {
			if n := strings.Count(w.log.String(), text); n != want {
				t.Errorf("the log says %q %d times, want %d", text, n, want)
			}
		}
	})
}

// mute cannot queue callbacks while it is away, and takes its time to say so.
type mute struct {
	finalize.Queue
	away  *atomic.Bool
	tries *atomic.Int64
}

func (m mute) Callback(ctx context.Context, ref tasks.Ref) error {
	if m.away.Load() {
		m.tries.Add(1)
		time.Sleep(time.Second)
		return errors.New("the queue of callbacks is away")
	}
	return m.Queue.Callback(ctx, ref)
}

// The queue of callbacks may lie in another part of Redis than the account.
func TestCallbacksThatCannotBeQueuedHoldUpNoCalls(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		ids := names("shop", 150)
		w.enqueue(ids...)
		var away atomic.Bool
		var tries atomic.Int64
		away.Store(true)
		w.start(func(_ *process, s *setup) {
			s.Lanes[0].Concurrency = 4
			s.Queue = mute{s.Queue, &away, &tries}
		})
		w.await("all calls are made", time.Minute, func() bool { return w.made() == len(ids) })
		before := tries.Load()
		time.Sleep(20 * time.Second)
		if n := tries.Load() - before; n == 0 || n > 25 {
			t.Errorf("%d tries to queue a callback in 20 s, want one each second or two", n)
		}
		away.Store(false)
		w.awaitEnd(time.Minute, ids...)
		w.wantCreated(ids...)
	})
}
