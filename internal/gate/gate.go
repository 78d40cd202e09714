// Package gate decides when a process takes a task of an account from asynq's queues:
// only when there may be one, when nothing blocks the account, and when the task would not
// wait long for the account's quota.
package gate

import (
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Ahead is how long turns should wait for the quota: enough to miss no slot, and no more,
// since no other process can take a job that waits here, and an urgent one comes after it.
const Ahead = 500 * time.Millisecond

// lostAfter is how long a task that asynq has taken may have no turn before it no longer
// counts: asynq archives a task that it cannot read.
const lostAfter = 2 * time.Second

// Block limits what a gate lets through. The zero value does not.
type Block struct {
	Closed bool      // no task
	Until  time.Time // no task before that
	Single bool      // then one task at a time
}

// Gate is the gate of one account in this process. Its methods Enter, Left, Due and Came
// are those of asynqx.Gate. It is safe for concurrent use.
type Gate struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	stopping <-chan struct{}

	mayHaveTasks map[string]bool // the queues in which there may be tasks
	// rings counts the signs of new tasks, so that one during a dequeue is not missed.
	rings, asked int
	due          time.Time // when the first task that comes back later does
	block        Block

	// taking counts the tasks that asynq is taking, waiting the turns that wait for their
	// quota; room bounds their sum.
	taking, waiting, room, most int
	took, shrunk                time.Time
}

// New returns the gate of an account that makes rate creates a second, with at most
// concurrency turns at once. It lets nothing through once stopping is closed.
func New(rate float64, concurrency int, stopping <-chan struct{}) *Gate {
	return &Gate{
		changed: make(chan struct{}), stopping: stopping, mayHaveTasks: map[string]bool{},
		room: min(max(int(rate*Ahead.Seconds()), 1), concurrency), most: concurrency,
	}
}

// Enter waits until a task of the queue may be taken. It returns false if only the
// account's other queue has one, or if the worker stops.
func (g *Gate) Enter(queue string) bool {
	for {
		select {
		case <-g.stopping:
			return false
		default:
		}
		g.mu.Lock()
		open, again := g.open(time.Now())
		enter := open && g.mayHaveTasks[queue]
		if enter {
			if g.taking == 0 {
				g.asked = g.rings // the first of those that dequeue at once
			}
			g.taking++
			g.took = time.Now()
		}
		elsewhere := open && len(g.mayHaveTasks) > 0
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

// open reports whether a task may be taken, and if not, when to check again unless
// something changes; a zero time means never. The caller holds the lock.
func (g *Gate) open(now time.Time) (ok bool, again time.Time) {
	if g.taking > 0 && now.Sub(g.took) > lostAfter {
		g.taking = 0
	}
	busy := g.taking + g.waiting
	switch {
	case g.block.Closed:
		return false, time.Time{}
	case g.block.Until.After(now):
		return false, g.block.Until
	case g.block.Single && busy > 0, busy >= g.room:
		return false, now.Add(lostAfter)
	}
	return true, time.Time{}
}

func (g *Gate) wait(changed <-chan struct{}, again time.Time) bool {
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

// Left records whether there was a task in the queue.
func (g *Gate) Left(queue string, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if found {
		return // taking, until its turn begins
	}
	g.taking = max(g.taking-1, 0)
	if g.rings == g.asked {
		delete(g.mayHaveTasks, queue)
	}
}

// Due reports whether a delayed task of the account is due.
func (g *Gate) Due(string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.due.IsZero() && !g.due.After(time.Now())
}

// Came records that there are tasks in the queue.
func (g *Gate) Came(queue string) {
	g.change(func() {
		g.rings++
		g.mayHaveTasks[queue] = true
	})
}

// Update takes in how many tasks the account's two queues hold, and what blocks it.
func (g *Gate) Update(d tasks.Depth, normal, high string, b Block) {
	g.change(func() {
		g.rings++
		for queue, n := range map[string]int64{normal: d.Normal, high: d.High} {
			if n > 0 {
				g.mayHaveTasks[queue] = true
			}
		}
		g.due, g.block = d.Due, b
	})
}

// SetBlock changes what blocks the account.
func (g *Gate) SetBlock(b Block) { g.change(func() { g.block = b }) }

// Begin records that the turn of a task has begun.
func (g *Gate) Begin() *Admission {
	g.change(func() {
		g.taking = max(g.taking-1, 0)
		g.waiting++
	})
	return &Admission{gate: g}
}

// Admission is a turn that counts as waiting until it gets its quota or ends. A nil one
// belongs to a turn that did not come through the gate.
type Admission struct {
	gate *Gate
	once sync.Once
}

// Through records that the turn has got its quota, and adapts how many turns may wait to
// how long this one has waited.
func (a *Admission) Through(waited time.Duration) {
	a.leave(func(g *Gate) {
		switch {
		case waited > 2*Ahead:
			// Once for turns that were admitted together: they all wait long.
			if now := time.Now(); now.Sub(g.shrunk) > 2*Ahead {
				g.room, g.shrunk = max(g.room-g.room/8-1, 1), now
			}
		case waited < Ahead:
			g.room = min(g.room+1, g.most)
		}
	})
}

// End records that the turn is over.
func (a *Admission) End() { a.leave(func(*Gate) {}) }

func (a *Admission) leave(adapt func(*Gate)) {
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

func (g *Gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}
