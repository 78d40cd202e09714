package enqueue

import (
	"context"
	"fmt"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/tasks"
)

// chunkSize is how many jobs go to Redis in one step. While Redis takes them, which is
// a millisecond, it answers nobody else.
const chunkSize = 100

// chunk is jobs that go to Redis together, those of each account in one script.
type chunk struct {
	results []Result
	// twins means that two of the jobs may be the same.
	twins   bool
	checked bool
	batches []*accountBatch
}

// accountBatch is the jobs of a chunk that belong to one account.
type accountBatch struct {
	queue.AccountBatch
	results []*Result // of Jobs
	settled bool
}

// compose validates the jobs of a chunk, and prepares the insert of the valid ones.
func (c *Client) compose(ch *chunk, highWatermark float64) error {
	if !ch.checked {
		c.open(ch)
	}
	for _, b := range ch.batches {
		if b.settled {
			continue
		}
		b.HighWatermark, b.Distinct = highWatermark, !ch.twins
		if err := c.queue.Prepare(&b.AccountBatch); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
	}
	return nil
}

// send settles the results that have no status yet. If it returns an error it may be
// called again: what was written stands and is not written twice. Above that share of
// maxmemory it writes nothing new and returns a [*queue.OutOfMemoryError]; 0 is no limit.
func (c *Client) send(ctx context.Context, ch *chunk, highWatermark float64) error {
	if err := c.compose(ch, highWatermark); err != nil {
		return err
	}
	var open []*accountBatch
	var inserts []*queue.AccountBatch
	for _, b := range ch.batches {
		if !b.settled {
			open, inserts = append(open, b), append(inserts, &b.AccountBatch)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	inserted, err := c.queue.Insert(ctx, inserts)
	if err != nil {
		err = fmt.Errorf("enqueue: %w", err)
	}
	for i, existing := range inserted {
		if bad := c.settle(ctx, open[i], existing); bad != nil {
			return bad
		}
	}
	return err
}

// open validates the jobs of a chunk and sorts them by account.
func (c *Client) open(ch *chunk) {
	ch.checked = true
	try := ledger.NewTry()
	byAccount := map[string]*accountBatch{}
	for i := range ch.results {
		r := &ch.results[i]
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
			ch.batches = append(ch.batches, b)
		}
		b.Jobs, b.results = append(b.Jobs, &r.Job), append(b.results, r)
	}
}

// settle sets the results of a batch that was inserted.
func (c *Client) settle(ctx context.Context, b *accountBatch, existing map[int]queue.Existing) error {
	var others []*Result
	for i, r := range b.results {
		if e, exists := existing[i]; exists && !e.Same {
			r.State = e.State
			others = append(others, r)
		}
	}
	if err := c.compare(ctx, b.Account, others); err != nil {
		return err
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
	b.settled = true
	return nil
}

// compare settles jobs whose sealed requests differ from those of the records:
// sealed with an older data key, the same request has other bytes.
func (c *Client) compare(ctx context.Context, account string, rs []*Result) error {
	found, err := c.records(ctx, account, rs)
	if err != nil {
		return fmt.Errorf("enqueue: comparing with the jobs that are there: %w", err)
	}
	for i, r := range rs {
		r.compare(found[i])
	}
	return nil
}
