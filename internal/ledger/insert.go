package ledger

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"

	"github.com/camsq/camsq/tasks"
)

// InsertLua defines the Lua functions standing, newHead, join, insert and book, which write
// new jobs' records. Package queue runs them in one script with asynq's own
// enqueueing, so that records and tasks are written together or not at all.
var InsertLua = recordLua + insertLua

//go:embed insert.lua
var insertLua string

// Insertion returns, of an account's normalised jobs, the key of the record
// and the sealed request, for [InsertLua].
func (l *Ledger) Insertion(account string) func(tasks.Job) (key string, sealed []byte, err error) {
	lane := laneOf(account)
	return func(j tasks.Job) (string, []byte, error) {
		sealed, err := l.sealRequest(j)
		return lane.job(j.ID), sealed, err
	}
}

// IndexKeys are the keys of an account in which new jobs are entered: those that
// [InsertLua] takes.
func IndexKeys(account string) []string {
	lane := laneOf(account)
	return []string{lane.state(tasks.StateQueued), lane.count(), lane.batches()}
}

// BatchKey is where the jobs of a batch in an account are counted.
func BatchKey(account, batch string) string { return laneOf(account).batch(batch) }

// NewTry names a try to write up to a thousand jobs. With the number of a job behind
// it, it is the first revision of the job's record, by which the try, asked for
// again after its reply was lost, finds what it wrote itself.
func NewTry() string {
	b := make([]byte, 6) // with three digits, no longer than any revision
	rand.Read(b)         // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// JobKey is where the job's record stands.
func JobKey(ref tasks.Ref) string { return laneOf(ref.Account).job(ref.ID) }
