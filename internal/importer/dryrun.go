package importer

import (
	"context"
	"iter"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// DryRun stands in for the client in a dry run: it sends nothing, and knows
// the jobs of this run.
type DryRun struct {
	Index *index
	// Lookup returns the results of existing jobs: see [enqueue.Client.Lookup]. Nil means that
	// there is no lookup.
	Lookup func(context.Context, []tasks.Job) ([]enqueue.Result, error)
}

// dryRunPage is how many jobs are looked up in one step.
const dryRunPage = 500

// CreateAll calls each with the result that [enqueue.Client.CreateAll] would have.
func (h *DryRun) CreateAll(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
	page := make([]enqueue.Result, 0, dryRunPage)
	flush := func() error {
		if err := h.reportPage(ctx, page, each); err != nil {
			return err
		}
		page = page[:0]
		return ctx.Err()
	}
	for job, err := range jobs {
		r := enqueue.Result{Job: job, Status: enqueue.StatusQueued, State: tasks.StateQueued, Err: err}
		if err != nil {
			r.Status = enqueue.StatusInvalid
		}
		if page = append(page, r); len(page) == dryRunPage {
			if err := flush(); err != nil {
				return enqueue.Summary{}, err
			}
		}
	}
	return enqueue.Summary{}, flush()
}

// reportPage reports some jobs, in order: each must be seen before the next is.
func (h *DryRun) reportPage(ctx context.Context, page []enqueue.Result, each func(enqueue.Result)) error {
	if err := h.compare(ctx, page); err != nil {
		return err
	}
	for _, r := range page {
		if r.Status != enqueue.StatusInvalid {
			switch _, request, twin := h.Index.find(r.Job.Ref()); {
			case twin && request == RequestDigest(r.Job):
				r.Status, r.Err = enqueue.StatusKnown, nil
			case twin:
				r.Status, r.Err = enqueue.StatusConflict, &enqueue.ConflictError{Ref: r.Job.Ref(), State: r.State}
			}
		}
		each(r)
	}
	return nil
}

// compare settles the jobs of a page that are in Redis already.
func (h *DryRun) compare(ctx context.Context, page []enqueue.Result) error {
	if h.Lookup == nil {
		return nil
	}
	var jobs []tasks.Job
	var at []int
	for i, r := range page {
		if r.Status == enqueue.StatusQueued {
			jobs, at = append(jobs, r.Job), append(at, i)
		}
	}
	found, err := h.Lookup(ctx, jobs)
	for i, r := range found {
		page[at[i]] = r
	}
	return err
}
