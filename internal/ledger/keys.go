package ledger

import (
	"strings"

	"github.com/camsq/camsq/tasks"
)

const (
	dataKeysKey = "camsq:data-keys"
	formatKey   = "camsq:format"
)

// lane makes the keys of one account.
type lane string

func laneOf(account string) lane {
	return lane("camsq:{" + tasks.ProvisionQueue(account) + "}:")
}

func (l lane) job(id string) string        { return string(l) + "job:" + id }
func (l lane) state(s tasks.State) string  { return string(l) + "state:" + string(s) }
func (l lane) count() string               { return string(l) + "count" }
func (l lane) batch(name string) string    { return string(l) + "batch:" + name }
func (l lane) batches() string             { return string(l) + "batches" }
func (l lane) completions(b string) string { return string(l) + "completions:" + b }
func (l lane) owedBatches() string         { return string(l) + string(OwedBatches) }
func (l lane) deadBatches() string         { return string(l) + string(DeadBatches) }
func (l lane) name(key string) string      { return string(l) + "name:" + key }
func (l lane) owed() string                { return string(l) + "owed" }
func (l lane) dead() string                { return string(l) + "dead" }
func (l lane) dutyLock(duty string) string { return string(l) + "lead:" + duty }
func (l lane) control() string             { return string(l) + "lane" }
func (l lane) limit(action string) string  { return string(l) + "limit:" + action }

// instance is where the claim of an instance stands. Two spellings of one ID are one claim.
func (l lane) instance(id string) string { return string(l) + "instance:" + strings.ToLower(id) }

// LimitKey is where the account's limiter for an API action stands.
func LimitKey(account, action string) string { return laneOf(account).limit(action) }

// TryoutKey is a key of the account's part of Redis that nothing reads.
func TryoutKey(account, try string) string { return string(laneOf(account)) + "tryout:" + try }

// indexed says whether the IDs of the jobs in a state are listed. Created and
// cancelled jobs are only counted: no process comes back to them.
func indexed(s tasks.State) bool {
	return !s.Final() || s == tasks.StateFailed
}
