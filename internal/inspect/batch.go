package inspect

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/camsq/camsq/tasks"
)

// BatchStatus is one batch of one account. Its JSON is public.
type BatchStatus struct {
	Batch   string      `json:"batch"`
	Account string      `json:"account"`
	Jobs    StateCounts `json:"jobs"`
	// Codes counts the failed jobs by their code.
	Codes map[string]int64 `json:"codes"`
	// ClosedAt is when the producer had sent the last job, CompletedAt when every one
	// had ended besides; each is left out while that is not so. Completions is how
	// often it was.
	ClosedAt    time.Time `json:"closed_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	Completions int64     `json:"completions"`
	// Callback is how far telling the last completion got.
	Callback *callbackStatus `json:"callback,omitempty"`
	// Rest is how long the open jobs need; left out if there are none, if the account
	// is held back, or if no worker is running.
	Rest *RestStatus `json:"rest,omitempty"`
	// Lane is how the account is paced, and what holds it back, if jobs are open.
	Lane *laneStatus `json:"lane,omitempty"`

	Now      time.Time `json:"-"`
	Forecast Forecast  `json:"-"`
}

// RestStatus is how long open jobs need at the pace in force: at least, and at most
// if the account's others go first.
type RestStatus struct {
	LeastSeconds int64 `json:"least_seconds"`
	MostSeconds  int64 `json:"most_seconds"`
}

func newBatchStatus(b *tasks.Batch) BatchStatus {
	return BatchStatus{
		Batch: b.Name, Account: b.Account, Jobs: b.Jobs, Codes: b.Codes,
		ClosedAt: utc(b.Closed), CompletedAt: utc(b.Completed), Completions: b.Completions, Now: b.Now,
	}
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// BatchesOf reads the batches of that name in every account that has one.
func (m *Model) BatchesOf(ctx context.Context, name string) ([]*tasks.Batch, error) {
	accounts, err := m.AccountNames(ctx)
	if err != nil {
		return nil, err
	}
	found, err := m.Ledger.BatchIn(ctx, accounts, name)
	if m.PartlyDown(ctx, err) {
		found, err = m.batchInReach(ctx, accounts, name)
	}
	return slices.DeleteFunc(found, func(b *tasks.Batch) bool { return b == nil }), err
}

// batchInReach reads the batch of each account that can be asked, and notes the others.
func (m *Model) batchInReach(ctx context.Context, accounts []string, name string) ([]*tasks.Batch, error) {
	found := make([]*tasks.Batch, len(accounts))
	errs := EachAccount(ctx, accounts, func(ctx context.Context, i int) (err error) {
		found[i], err = m.Ledger.Batch(ctx, accounts[i], name)
		return err
	})
	for i, err := range errs {
		if err != nil && !m.Skip(ctx, accounts[i], err) {
			return nil, err
		}
	}
	return found, nil
}

// BatchStatus is all that commands report of one batch.
func (m *Model) BatchStatus(ctx context.Context, b *tasks.Batch) (BatchStatus, error) {
	s := newBatchStatus(b)
	if b.Completions > 0 {
		c, err := m.Ledger.Completion(ctx, tasks.BatchRef{Account: b.Account, Batch: b.Name, Completion: b.Completions})
		switch {
		case err == nil:
			s.Callback = &callbackStatus{State: c.Callback.State, Tries: c.Callback.Tries, Reason: c.Callback.Reason}
		case !IsNotFound(err) && !errors.Is(err, tasks.ErrUnreadable):
			return s, err
		}
	}
	if OpenJobs(s.Jobs) == 0 {
		return s, nil
	}
	var err error
	if s.Forecast, err = m.Prospect(ctx, b.Account, OpenJobs(s.Jobs)); err != nil {
		return s, err
	}
	lane := s.Forecast.status()
	s.Lane = &lane
	if least, most, ok := s.Forecast.Remaining(OpenJobs(s.Jobs)); ok {
		s.Rest = &RestStatus{int64(least.Seconds()), int64(most.Seconds())}
	}
	return s, nil
}
