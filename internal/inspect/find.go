package inspect

import (
	"context"
	"fmt"
	"strings"

	"github.com/camsq/camsq/internal/exit"
)

// Batch counts the jobs of a batch in the accounts that are meant, and is nil if
// there is none. open says that it is not closed in one of them.
func (n *Model) Batch(ctx context.Context, s Filter) (sum StateCounts, open bool, err error) {
	accounts, err := n.selectedAccounts(ctx, s)
	if err != nil {
		return nil, false, err
	}
	for _, account := range accounts {
		b, err := n.Ledger.Batch(ctx, account, s.Batch)
		if err != nil && n.Skip(ctx, account, err) {
			continue
		}
		if err != nil {
			return nil, false, n.RedisError(ctx, err)
		}
		if b == nil {
			continue
		}
		if sum == nil {
			sum = StateCounts{}
		}
		open = open || b.Closed.IsZero()
		for state, count := range b.Jobs {
			sum[state] += count
		}
	}
	return sum, open, nil
}

// OneJob finds the job of that name. Its error is an [*exitError].
func (n *Model) OneJob(ctx context.Context, name string, orBatch bool) (JobStatus, error) {
	what := "no job"
	if orBatch {
		what = "no job or batch"
	}
	jobs, err := n.FindJobs(ctx, name)
	switch {
	case err != nil:
		return JobStatus{}, n.RedisError(ctx, err)
	case len(jobs) == 0 && n.Skipped(ctx) != nil:
		return JobStatus{}, n.Skipped(ctx) // it may be there
	case len(jobs) == 0:
		return JobStatus{}, exit.With(exit.CodeSomeFailed, fmt.Errorf("there is %s %q; looked in account %s", what, name, strings.Join(n.Config.Names(), ", ")))
	case len(jobs) > 1:
		return JobStatus{}, exit.With(exit.CodeSomeFailed, fmt.Errorf("%q is job %s and also job %s; name it as ACCOUNT/ID", name, jobs[0].Job, jobs[1].Job))
	}
	return jobs[0], nil
}

// NotFound is the error that no job and no batch has the name.
func (n *Model) NotFound(ctx context.Context, name string) error {
	accounts, err := n.AccountNames(ctx)
	if err != nil {
		return n.RedisError(ctx, err)
	}
	if err := n.Skipped(ctx); err != nil {
		return err // it may be there
	}
	return exit.With(exit.CodeSomeFailed, fmt.Errorf("%q is neither a job nor a batch here; looked in account %s", name, strings.Join(accounts, ", ")))
}
