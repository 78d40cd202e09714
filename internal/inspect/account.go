package inspect

import (
	"context"

	"github.com/camsq/camsq/tasks"
)

// lastBatches is how many batches of each account the overview names.
const lastBatches = 5

// AccountStatus is one account in the overview. Its JSON is public.
type AccountStatus struct {
	Account string `json:"account"`
	// Configured says whether the settings of this process name the account.
	Configured bool `json:"configured"`
	// Jobs counts by state; of the final states, all that ever ended so.
	Jobs StateCounts `json:"jobs"`
	// Lane is how the account is paced, and what holds it back.
	Lane laneStatus `json:"lane"`
	// OldestSeconds is how long the oldest job of a state has been in it.
	OldestSeconds map[tasks.State]int64 `json:"oldest_seconds"`
	Callbacks     callbackCounts        `json:"callbacks"`
	Batches       []BatchStatus         `json:"batches"`
	Facts         LaneState             `json:"-"`
}

type callbackCounts struct {
	Owed              int64 `json:"owed"`
	OldestOwedSeconds int64 `json:"oldest_owed_seconds"`
	Dead              int64 `json:"dead"`
}

// AccountStatus reads where an account stands.
func (m *Model) AccountStatus(ctx context.Context, name string) (AccountStatus, error) {
	o, err := m.Ledger.Overview(ctx, name)
	if err != nil {
		return AccountStatus{}, err
	}
	s := AccountStatus{
		Account: name, Jobs: o.Jobs, OldestSeconds: map[tasks.State]int64{}, Batches: []BatchStatus{},
		Callbacks: callbackCounts{Owed: o.PendingCallbacks, Dead: o.DeadCallbacks, OldestOwedSeconds: int64(o.OldestPending.Seconds())},
	}
	for state, age := range o.Oldest {
		if o.Jobs[state] > 0 {
			s.OldestSeconds[state] = int64(age.Seconds())
		}
	}
	if s.Facts, err = m.LaneState(ctx, name); err != nil {
		return AccountStatus{}, err
	}
	s.Lane = s.Facts.status()
	names, err := m.Ledger.Batches(ctx, name, lastBatches)
	if err != nil {
		return AccountStatus{}, err
	}
	for _, batch := range names {
		b, err := m.Ledger.Batch(ctx, name, batch)
		if err != nil {
			return AccountStatus{}, err
		}
		if b != nil {
			s.Batches = append(s.Batches, newBatchStatus(b))
		}
	}
	return s, nil
}

// FullestServer reports the fullest server of the accounts' if it is too full, or is "".
func (m *Model) FullestServer(ctx context.Context, all []AccountStatus) string {
	used, most := make([]int64, len(all)), make([]int64, len(all))
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.Account
	}
	_ = EachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		used[i], most[i], err = m.Queue.Memory(ctx, names[i])
		return err // a server that does not report it is not full
	})
	worst := 0
	for i := range all {
		if float64(used[i])*float64(max(most[worst], 1)) > float64(used[worst])*float64(max(most[i], 1)) {
			worst = i
		}
	}
	if len(all) == 0 {
		return ""
	}
	return MemoryWarning("Redis", used[worst], most[worst])
}
