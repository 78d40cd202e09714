package inspect

import (
	"context"
	"fmt"
	"strings"

	"github.com/camsq/camsq/internal/exit"
)

// Batch counts the jobs of a batch in the accounts that are meant, and is nil if
// there is none. open says that it is not closed in one of them.
func (m *Model) Batch(ctx context.Context, s Filter) (sum StateCounts, open bool, err error) {
	accounts, err := m.selectedAccounts(ctx, s)
	if err != nil {
		return nil, false, err
	}
	for _, account := range accounts {
		b, err := m.Ledger.Batch(ctx, account, s.Batch)
		if err != nil && m.Skip(ctx, account, err) {
			continue
		}
		if err != nil {
			return nil, false, m.RedisError(ctx, err)
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

// OneJob finds the job of that name. Its error is an [*exit.Error].
func (m *Model) OneJob(ctx context.Context, name string, orBatch bool) (JobStatus, error) {
	what := "no job"
	if orBatch {
		what = "no job or batch"
	}
	jobs, err := m.FindJobs(ctx, name)
	switch {
	case err != nil:
		return JobStatus{}, m.RedisError(ctx, err)
	case len(jobs) == 0 && m.Skipped(ctx) != nil:
		return JobStatus{}, m.Skipped(ctx) // it may be there
	case len(jobs) == 0:
		return JobStatus{}, exit.With(exit.CodeSomeFailed, fmt.Errorf("there is %s %q; looked in account %s", what, name, strings.Join(m.Config.Names(), ", ")))
	case len(jobs) > 1:
		return JobStatus{}, exit.With(exit.CodeSomeFailed, fmt.Errorf("%q is job %s and also job %s; name it as ACCOUNT/ID", name, jobs[0].Job, jobs[1].Job))
	}
	return jobs[0], nil
}

// NotFound is the error that no job and no batch has the name.
func (m *Model) NotFound(ctx context.Context, name string) error {
	accounts, err := m.AccountNames(ctx)
	if err != nil {
		return m.RedisError(ctx, err)
	}
	if err := m.Skipped(ctx); err != nil {
		return err // it may be there
	}
	return exit.With(exit.CodeSomeFailed, fmt.Errorf("%q is neither a job nor a batch here; looked in account %s", name, strings.Join(accounts, ", ")))
}
