package main

import (
	"strings"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// What a row is called that has no state, or none that can be told.
const (
	rowRejected   tasks.State = "rejected"   // it breaks a rule and was never queued
	rowConflict   tasks.State = "conflict"   // its job ID stands for another request
	rowUnknown    tasks.State = "unknown"    // there is no such job
	rowUnreadable tasks.State = "unreadable" // its record cannot be read
	// batchCompleted is where a batch stands in a list of callbacks.
	batchCompleted tasks.State = "completed"
)

// tally counts jobs by where they stand.
type tally map[tasks.State]int64

// standings are the keys that a tally may have, in the order of telling.
func standings() []tasks.State {
	return append(tasks.States(), rowUnreadable, rowUnknown, rowConflict, rowRejected)
}

// String is "12 queued, 3 created"; states without a job are left out.
func (t tally) String() string {
	var parts []string
	for _, s := range standings() {
		if t[s] != 0 {
			parts = append(parts, thousands(t[s])+" "+string(s))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (t tally) sum() int64 {
	var sum int64
	for _, n := range t {
		sum += n
	}
	return sum
}

// settled says whether a job that stands there goes no further by itself.
func settled(s tasks.State) bool {
	switch s {
	case tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain:
		return false
	}
	return true
}

// standing is where a job stands that was looked up. A record that was read but
// not understood is told apart from one that is not there.
func standing(f ledger.Found) tasks.State {
	switch {
	case f.Err == nil:
		return f.Record.State
	case isNotFound(f.Err):
		return rowUnknown
	}
	return rowUnreadable
}
