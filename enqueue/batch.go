package enqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/camsq/camsq/tasks"
)

// CloseBatch declares that the last job of a batch was sent in these accounts; without
// any, in every account of this Redis that has jobs of it. Once each of its jobs has
// ended, and none is held, the batch is completed in the account, and the account's
// receiver gets an event ([tasks.EventBatchCompleted]): now, if they have ended already.
//
// It is idempotent. A job that is sent later opens the batch again: close it again, and
// the receiver gets another completion. CloseBatch skips an account without a job of the
// batch. The error means that Redis did not answer: call it again.
func (c *Client) CloseBatch(ctx context.Context, batch string, accounts ...string) error {
	if batch == "" {
		return errors.New("enqueue: cannot close a batch without a name")
	}
	if len(accounts) == 0 {
		var err error
		if accounts, err = c.queue.Accounts(ctx); err != nil {
			return err
		}
	}
	for _, account := range accounts {
		n, err := c.ledger.CloseBatch(ctx, account, batch)
		if err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		if n == 0 {
			continue
		}
		// Dies here, or gets no answer: the completion is owed, and the sweeper queues it.
		if err := c.queue.BatchCallback(ctx, tasks.BatchRef{Account: account, Batch: batch, Completion: n}); err != nil {
			return err
		}
	}
	return nil
}
