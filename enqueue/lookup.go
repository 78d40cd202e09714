package enqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/camsq/camsq/tasks"
)

// Lookup returns, in the order of the jobs, the result that [Client.Create] would have
// for each, and writes nothing: [StatusQueued] is a new job. It takes one round trip for
// each account; some hundreds of jobs at a time are a good number. The error means that
// Redis did not answer.
func (c *Client) Lookup(ctx context.Context, jobs []tasks.Job) ([]Result, error) {
	results := make([]Result, len(jobs))
	byAccount := map[string][]*Result{}
	for i, job := range jobs {
		r := &results[i]
		*r = Result{Job: job.Normalize(), Status: StatusQueued, State: tasks.StateQueued}
		if r.Err = r.Job.Validate(c.rules); r.Err != nil {
			r.Status, r.State = StatusInvalid, ""
			continue
		}
		byAccount[r.Job.Account] = append(byAccount[r.Job.Account], r)
	}
	for account, rs := range byAccount {
		found, err := c.records(ctx, account, rs)
		if err != nil {
			return nil, fmt.Errorf("enqueue: looking up existing jobs: %w", err)
		}
		for i, r := range rs {
			if errors.Is(found[i].Err, tasks.ErrNotFound) {
				continue
			}
			r.State = found[i].Record.State // none, if that cannot be read
			r.compare(found[i])
		}
	}
	return results, nil
}

// records reads the existing records of an account's jobs.
func (c *Client) records(ctx context.Context, account string, rs []*Result) ([]tasks.Lookup, error) {
	ids := make([]string, len(rs))
	for i, r := range rs {
		ids[i] = r.Job.ID
	}
	return c.ledger.GetMany(ctx, account, ids)
}

// compare settles a job whose ID has a record. A record may be older than a rule of
// [tasks.Job.Normalize]: requests that are equal after it are the same request.
func (r *Result) compare(existing tasks.Lookup) {
	kept := existing.Record
	kept.Job = kept.Job.Normalize()
	switch {
	case existing.Err != nil:
		r.Status, r.Err = StatusUnreadable, &UnreadableError{Ref: r.Job.Ref(), Err: existing.Err}
	case existing.Record.SameRequest(r.Job), kept.SameRequest(r.Job):
		r.Status, r.Job.Priority = StatusKnown, existing.Record.Priority
	default:
		r.Status, r.Err = StatusConflict, &ConflictError{Ref: r.Job.Ref(), State: r.State}
	}
}
