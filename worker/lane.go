package worker

import (
	"sync"
	"time"

	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/tasks"
)

// The paces of an account with a quota. Calls that leave evenly arrive up to some
// 20 ms late, so a window of the server's may hold a call or two more than were
// meant for it: a hundredth less keeps practically all of them within the quota.
// The vendor states no limit for lists; a job looks once before its call, and a
// few times more after a lost answer.
const (
	createsPerQuota = 0.99
	looksPerCreate  = 2
)

// lane is a [Lane] and what this process knows of it.
type lane struct {
	Lane
	gate *gate.Gate

	looking sync.Mutex // is held by the turn that looks for all of the lane's

	mu     sync.Mutex
	seen   tasks.Lane // as of the last look
	looked time.Time  // when that was asked for
	// taken says that workers had tasks of the lane then, in whichever process.
	taken bool
	// heard is when this process itself has last tripped the lane, or made it whole: a look
	// that was asked for before that is older.
	heard time.Time
	// skew is how far Redis's clock is ahead of this one.
	skew time.Duration
	// probing is this process's turn that probes, or zero; probingAgain reports that its job
	// was refused before.
	probing      tasks.ProbeID
	probingAgain bool
	own          own
	// letInAt is when the latest call of this process began that was let in, on Redis's clock.
	letInAt time.Time
	// runs are the rows of failures of each action.
	runs map[string]*run
}

func newLane(l Lane, stopping <-chan struct{}) *lane {
	n := &lane{Lane: l, gate: gate.New(l.Rate, l.Concurrency, stopping)}
	n.setRate(l.Rate)
	return n
}

// Pace is how many creates a second an account makes that has a quota of rate.
func Pace(rate float64) float64 { return createsPerQuota * rate }

func (l *lane) setRate(rate float64) {
	l.Create.SetRate(Pace(rate))
	l.List.SetRate(looksPerCreate * Pace(rate))
}

// see takes in how the lane and its queues stood at some moment after asked.
func (l *lane) see(asked time.Time, now tasks.Lane, d tasks.Depth) {
	l.mu.Lock()
	if asked.Before(l.looked) {
		l.mu.Unlock()
		return // a turn has looked since: see [Worker.fresh]
	}
	limit, trip := l.seen.Limit, now.Trip
	if asked.Before(l.heard) {
		now.Trip = l.seen.Trip
	}
	l.seen, l.skew, l.looked, l.taken = now, time.Until(now.Now), asked, d.Active > 0
	if trip == nil {
		l.own.seenOpen(asked)
	}
	block := l.block()
	l.mu.Unlock()
	if now.Limit != limit {
		rate := now.Limit
		if rate == 0 {
			rate = l.Rate
		}
		l.setRate(rate)
	}
	l.gate.Update(d, tasks.ProvisionQueue(l.Account), tasks.HighQueue(l.Account), block)
}

// block is what the lane's state means for the gate. The caller has the lock.
func (l *lane) block() gate.Block {
	if l.seen.Pause != nil {
		return gate.Block{Closed: true}
	}
	until := l.heldUntil()
	if t := l.seen.Trip; t != nil && t.Witness != "" && l.own.alone.IsZero() {
		return gate.Block{Single: true} // any other job than the witness may probe
	}
	return gate.Block{Until: until, Single: !until.IsZero()}
}

func (l *lane) hasTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// here is a time of Redis's clock on this one.
func (l *lane) here(t time.Time) time.Time { return t.Add(-l.skew) }

func (l *lane) skewed() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skew
}
