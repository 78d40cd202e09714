package inspect

import (
	"errors"
	"strings"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/tasks"
)

// IsNotFound reports whether an error says that a record does not exist.
func IsNotFound(err error) bool { return errors.Is(err, tasks.ErrNotFound) }

// Total adds up the tallies of several accounts.
func Total(lanes map[string]StateCounts) StateCounts {
	sum := StateCounts{}
	for _, jobs := range lanes {
		for s, n := range jobs {
			sum[s] += n
		}
	}
	return sum
}

// Ended counts the jobs of a tally that go no further.
func (t StateCounts) Ended() int64 {
	var n int64
	for s, count := range t {
		if Terminal(s) {
			n += count
		}
	}
	return n
}

// What a row is called that has no state, or none that can be read.
const (
	RowRejected   tasks.State = "rejected"   // it breaks a rule and was never queued
	RowConflict   tasks.State = "conflict"   // its job ID stands for another request
	RowUnknown    tasks.State = "unknown"    // there is no such job
	RowUnreadable tasks.State = "unreadable" // its record cannot be read
	// BatchCompleted is where a batch stands in a list of callbacks.
	BatchCompleted tasks.State = "completed"
)

// StateCounts counts jobs by where they stand.
type StateCounts map[tasks.State]int64

// RowStates are the keys that a tally may have, in the order of telling.
func RowStates() []tasks.State {
	return append(tasks.States(), RowUnreadable, RowUnknown, RowConflict, RowRejected)
}

// String is "12 queued, 3 created"; states without a job are left out.
func (t StateCounts) String() string {
	var parts []string
	for _, s := range RowStates() {
		if t[s] != 0 {
			parts = append(parts, humanize.Group(t[s])+" "+string(s))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// Sum is the number of all jobs.
func (t StateCounts) Sum() int64 {
	var sum int64
	for _, n := range t {
		sum += n
	}
	return sum
}

// Terminal says whether a job that stands there goes no further by itself.
func Terminal(s tasks.State) bool {
	switch s {
	case tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain:
		return false
	}
	return true
}

// StateOf is where a job stands that was looked up. A record that was read but
// not understood is distinguished from one that is not there.
func StateOf(f tasks.Lookup) tasks.State {
	switch {
	case f.Err == nil:
		return f.Record.State
	case IsNotFound(f.Err):
		return RowUnknown
	}
	return RowUnreadable
}
