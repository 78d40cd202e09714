package ledger

import (
	_ "embed"

	"github.com/camsq/camsq/tasks"
)

// InsertLua is the body of a Lua function of (KEYS, ARGV, now) that writes a new
// job's record. Package enqueue runs it in one script with asynq's own enqueueing,
// so that record and task are written together or not at all.
//
//go:embed insert.lua
var InsertLua string

// InsertKeys is how many keys [InsertLua] takes, InsertArgs how many arguments.
const (
	InsertKeys = 5
	InsertArgs = 5
)

// Insertion returns what [InsertLua] takes for a normalised job.
func (l *Ledger) Insertion(j tasks.Job) (keys []string, args []any, err error) {
	sealed, err := l.sealRequest(j)
	if err != nil {
		return nil, nil, err
	}
	lane := laneOf(j.Account)
	keys = []string{lane.job(j.ID), lane.state(tasks.StateQueued), lane.count(), lane.batch(j.Batch), lane.batches()}
	args = []any{j.ID, newRev(), sealed, j.Batch, string(j.Priority)}
	return keys, args, nil
}

// JobKey is where the job's record stands.
func JobKey(ref tasks.Ref) string { return laneOf(ref.Account).job(ref.ID) }

// SameRequest says whether a record holds what the job asks for. Batch and priority
// are no part of that.
func SameRequest(r tasks.Record, j tasks.Job) bool {
	if r.Request != j.Request || r.CallbackURL != j.CallbackURL || len(r.Metadata) != len(j.Metadata) {
		return false
	}
	for k, v := range j.Metadata {
		if got, ok := r.Metadata[k]; !ok || got != v {
			return false
		}
	}
	return true
}
