package worker

import (
	"sync"
	"time"

	"github.com/camsq/camsq/internal/gate"
	"github.com/camsq/camsq/tasks"
)

// The rates of an account with a quota. Calls that leave evenly arrive up to some 20 ms
// late, so a window of the API's may see a call or two more than were meant for it: one
// percent less keeps practically all of them within the quota. The vendor states no limit
// for lists; a job lists once before its call, and a few times more after a lost answer.
const (
	createsPerQuota = 0.99
	listsPerCreate  = 2
)

// lane is a [Lane] and what this process knows of it.
type lane struct {
	Lane
	gate *gate.Gate

	polling sync.Mutex // held by the turn that polls for all turns of the lane

	mu       sync.Mutex
	state    tasks.Lane // as of the last poll
	polledAt time.Time  // when that poll began
	// taken reports that workers had tasks of the lane then, in whichever process.
	taken bool
	// changes counts when this process itself opens or closes the breaker, and when Redis has
	// recorded that: a poll that began before either says what was before.
	changes int
	// skew is how far the clock of Redis is ahead of this process's.
	skew time.Duration
	// probing is this process's turn that probes, or zero; probingAgain reports that its job
	// was refused before.
	probing      tasks.ProbeID
	probingAgain bool
	local        localBackoff
	// succeededAt is when the latest successful call of this process began, by the clock of
	// Redis.
	succeededAt time.Time
	// streaks are the failures in a row of each action.
	streaks map[string]*streak
}

func newLane(l Lane, stopping <-chan struct{}) *lane {
	n := &lane{Lane: l, gate: gate.New(l.Rate, l.Concurrency, stopping)}
	n.setRate(l.Rate)
	return n
}

// Pace returns how many creates a second an account with a quota of rate makes.
func Pace(rate float64) float64 { return createsPerQuota * rate }

func (l *lane) setRate(rate float64) {
	l.Create.SetRate(Pace(rate))
	l.List.SetRate(listsPerCreate * Pace(rate))
}

func (l *lane) changeCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// update takes in the state of the lane and its queues at some time after polled, when the
// lane had changed so often.
func (l *lane) update(polled time.Time, changes int, now tasks.Lane, d tasks.Depth) {
	l.mu.Lock()
	if polled.Before(l.polledAt) {
		l.mu.Unlock()
		return // a turn has polled since: see [Worker.fresh]
	}
	limit, trip := l.state.Limit, now.Trip
	if changes != l.changes {
		now.Trip = l.state.Trip
	}
	l.state, l.skew, l.polledAt, l.taken = now, time.Until(now.Now), polled, d.Active > 0
	if trip == nil {
		l.local.onClosed(polled)
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

// block returns what the lane's state means for its gate. The caller holds the lock.
func (l *lane) block() gate.Block {
	if l.state.Pause != nil {
		return gate.Block{Closed: true}
	}
	until := l.heldUntil()
	if t := l.state.Trip; t != nil && t.Witness != "" && l.local.othersOK.IsZero() {
		return gate.Block{Single: true} // any job but the witness may probe
	}
	return gate.Block{Until: until, Single: !until.IsZero()}
}

func (l *lane) hasTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// toLocal converts a time of Redis's clock to this process's. The caller holds the lock.
func (l *lane) toLocal(t time.Time) time.Time { return t.Add(-l.skew) }

func (l *lane) clockSkew() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skew
}
