package enqueue

import (
	"context"
	"fmt"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/tasks"
)

// step is jobs that one round trip writes, those of each account in one atomic step.
type step struct {
	results []Result
	// twins means that two of the jobs have the same ID.
	twins    bool
	prepared bool
	batches  []*accountBatch
}

// accountBatch is the jobs of a step that belong to one account.
type accountBatch struct {
	queue.AccountBatch
	results []*Result // of Jobs
	done    bool
}

// write settles the results that have no status yet. If it returns an error it may be
// called again: what was written stands, and is not written twice. Above the
// highWatermark, a share of maxmemory, it writes nothing new and returns a
// [*queue.OutOfMemoryError]; 0 is no limit.
func (c *Client) write(ctx context.Context, s *step, highWatermark float64) error {
	c.prepare(s, highWatermark)
	var open []*accountBatch
	var inserts []*queue.AccountBatch
	for _, b := range s.batches {
		if !b.done {
			open, inserts = append(open, b), append(inserts, &b.AccountBatch)
		}
	}
	if len(open) == 0 {
		return nil
	}
	inserted, err := c.queue.Insert(ctx, inserts)
	if err != nil {
		err = fmt.Errorf("enqueue: %w", err)
	}
	for i, existing := range inserted {
		if bad := c.setResults(ctx, open[i], existing); bad != nil {
			return bad
		}
	}
	return err
}

// prepare validates the jobs of a step, groups them by account, and composes what write
// sends. All attempts to write them have one name, so that an attempt recognises what an
// earlier one wrote.
func (c *Client) prepare(s *step, highWatermark float64) {
	if s.prepared {
		return
	}
	s.prepared = true
	try := ledger.NewTry()
	byAccount := map[string]*accountBatch{}
	for i := range s.results {
		r := &s.results[i]
		if r.Status != "" {
			continue
		}
		if err := r.Job.Validate(c.rules); err != nil {
			r.Status, r.Err = StatusInvalid, err
			continue
		}
		b := byAccount[r.Job.Account]
		if b == nil {
			b = &accountBatch{AccountBatch: queue.AccountBatch{Account: r.Job.Account, Try: try}}
			byAccount[b.Account] = b
			s.batches = append(s.batches, b)
		}
		b.Jobs, b.results = append(b.Jobs, &r.Job), append(b.results, r)
	}
	for _, b := range s.batches {
		b.HighWatermark, b.Distinct = highWatermark, !s.twins
		_ = c.queue.Prepare(&b.AccountBatch) // Insert returns the error
	}
}

// setResults sets the results of a batch that was inserted.
func (c *Client) setResults(ctx context.Context, b *accountBatch, existing map[int]queue.Existing) error {
	var others []*Result // with another request, or with the same under another data key
	for i, r := range b.results {
		if e, exists := existing[i]; exists && !e.Same {
			r.State = e.State
			others = append(others, r)
		}
	}
	records, err := c.records(ctx, b.Account, others)
	if err != nil {
		return fmt.Errorf("enqueue: comparing with the existing jobs: %w", err)
	}
	for i, r := range others {
		r.compare(records[i])
	}
	for i, r := range b.results {
		e, exists := existing[i]
		switch {
		case !exists:
			r.Status, r.State = StatusQueued, tasks.StateQueued
		case r.Status == "":
			r.Status, r.State, r.Job.Priority = StatusKnown, e.State, e.Priority
		}
	}
	b.done = true
	return nil
}
