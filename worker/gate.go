package worker

import (
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Ahead is how long turns should wait for the quota: enough to miss no slot, and
// no more, since a job that waits here is one that no other process can take, and
// that an urgent one comes behind.
const Ahead = 500 * time.Millisecond

// unseen is how long a task that asynq has taken may be without its turn before
// it counts as none: asynq parks what it cannot read.
const unseen = 2 * time.Second

// hold is what keeps a gate from letting tasks through.
type hold struct {
	shut   bool      // nobody
	until  time.Time // nobody before that
	single bool      // then one at a time
}

// gate decides when this process takes a task of a lane: when there may be one,
// when nothing holds the lane back, and when its turn would not wait long for the
// quota.
type gate struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	stopping <-chan struct{}

	work map[string]bool // the queues in which there may be tasks
	// rings counts what said that there are tasks, to notice that during a look.
	rings, asked int
	due          time.Time // when the first task that comes back later does
	hold         hold

	// taking are tasks that asynq is taking, waiting the turns that the quota has not
	// let through yet, and room how many both may be.
	taking, waiting, room, most int
	took, shrunk                time.Time
}

func newGate(rate float64, concurrency int, stopping <-chan struct{}) *gate {
	return &gate{
		changed: make(chan struct{}), stopping: stopping, work: map[string]bool{},
		room: min(max(int(rate*Ahead.Seconds()), 1), concurrency), most: concurrency,
	}
}

// Enter waits until a task of the queue may be taken. It returns false if there
// is one in the lane's other queue alone, or if the worker stops.
func (g *gate) Enter(queue string) bool {
	for {
		select {
		case <-g.stopping:
			return false
		default:
		}
		g.mu.Lock()
		open, again := g.open(time.Now())
		enter := open && g.work[queue]
		if enter {
			if g.taking == 0 {
				g.asked = g.rings // for all that look at once: their first
			}
			g.taking++
			g.took = time.Now()
		}
		elsewhere := open && len(g.work) > 0
		changed := g.changed
		g.mu.Unlock()
		if enter || elsewhere {
			return enter
		}
		if !g.wait(changed, again) {
			return false
		}
	}
}

// open says whether a task may be taken, and if not, when to look again unless
// something changes; never if that is zero. The caller has the lock.
func (g *gate) open(now time.Time) (ok bool, again time.Time) {
	if g.taking > 0 && now.Sub(g.took) > unseen {
		g.taking = 0
	}
	busy := g.taking + g.waiting
	switch {
	case g.hold.shut:
		return false, time.Time{}
	case g.hold.until.After(now):
		return false, g.hold.until
	case g.hold.single && busy > 0, busy >= g.room:
		return false, now.Add(unseen)
	}
	return true, time.Time{}
}

func (g *gate) wait(changed <-chan struct{}, again time.Time) bool {
	var timer <-chan time.Time
	if !again.IsZero() {
		t := time.NewTimer(time.Until(again))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-g.stopping:
		return false
	case <-changed:
	case <-timer:
	}
	return true
}

// Left notes whether there was a task in the queue.
func (g *gate) Left(queue string, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if found {
		return // taking, until its turn begins
	}
	g.taking = max(g.taking-1, 0)
	if g.rings == g.asked {
		delete(g.work, queue)
	}
}

// Due says whether a task of the lane comes back now.
func (g *gate) Due(string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.due.IsZero() && !g.due.After(time.Now())
}

// Came says that there are tasks in the queue.
func (g *gate) Came(queue string) {
	g.change(func() {
		g.rings++
		g.work[queue] = true
	})
}

func (g *gate) see(d tasks.Depth, normal, high string, h hold) {
	g.change(func() {
		g.rings++
		for queue, n := range map[string]int64{normal: d.Normal, high: d.High} {
			if n > 0 {
				g.work[queue] = true
			}
		}
		g.due, g.hold = d.Due, h
	})
}

func (g *gate) set(h hold) { g.change(func() { g.hold = h }) }

// begin notes that the turn of a task has begun.
func (g *gate) begin() *admission {
	g.change(func() {
		g.taking = max(g.taking-1, 0)
		g.waiting++
	})
	return &admission{gate: g}
}

// admission is a turn that counts as waiting until it is let through or ends. A
// nil one belongs to a turn that came by another way.
type admission struct {
	gate *gate
	once sync.Once
}

// through notes that the quota has let the turn through, and adapts how many may
// wait to how long this one has.
func (a *admission) through(waited time.Duration) {
	a.leave(func(g *gate) {
		switch {
		case waited > 2*Ahead:
			// Once for those that were let in together: they all wait long.
			if now := time.Now(); now.Sub(g.shrunk) > 2*Ahead {
				g.room, g.shrunk = max(g.room-g.room/8-1, 1), now
			}
		case waited < Ahead:
			g.room = min(g.room+1, g.most)
		}
	})
}

// end notes that the turn is over.
func (a *admission) end() { a.leave(func(*gate) {}) }

func (a *admission) leave(adapt func(*gate)) {
	if a == nil {
		return
	}
	a.once.Do(func() {
		a.gate.change(func() {
			a.gate.waiting--
			adapt(a.gate)
		})
	})
}

func (g *gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}
