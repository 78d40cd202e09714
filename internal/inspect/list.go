package inspect

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// Filter says which jobs of a list are meant.
type Filter struct {
	Account, Code, Batch string
}

// selectedAccounts are those that are meant, also ones that are not configured here and
// have jobs: no other place may list them.
func (m *Model) selectedAccounts(ctx context.Context, s Filter) ([]string, error) {
	names, err := m.AccountNames(ctx)
	if err != nil {
		return nil, m.RedisError(ctx, err)
	}
	if s.Account == "" {
		return names, nil
	}
	if !slices.Contains(names, s.Account) {
		return nil, exit.Usagef("--account %s: there is no such account; there is %s", s.Account, strings.Join(names, ", "))
	}
	return []string{s.Account}, nil
}

// String is " of batch b with code c", to follow what is selected from.
func (s Filter) String() string {
	text := ""
	for _, part := range [][2]string{{" in account ", s.Account}, {" of batch ", s.Batch}, {" with code ", s.Code}} {
		if part[1] != "" {
			text += part[0] + humanize.Sanitize(part[1])
		}
	}
	return text
}

// takes says whether a job that was looked up is meant. A job that has left the
// list meanwhile is not; one that cannot be read has neither code nor batch.
func (s Filter) takes(list ListSpec, f tasks.Lookup) bool {
	switch {
	case IsNotFound(f.Err):
		return false
	case f.Err != nil:
		return s.Code == "" && s.Batch == ""
	}
	r := f.Record
	return list.belongs(r) && (s.Code == "" || s.Code == list.Code(r)) && (s.Batch == "" || s.Batch == r.Batch)
}

// Pages pages through the jobs of a list that are meant, each account's newest
// first. Jobs may leave the list meanwhile, also by what is done with a page. Accounts
// whose part of a cluster is away are left out: see [Model.Skipped].
func (m *Model) Pages(ctx context.Context, list ListSpec, s Filter) iter.Seq2[[]tasks.Lookup, error] {
	return func(yield func([]tasks.Lookup, error) bool) {
		accounts, err := m.selectedAccounts(ctx, s)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, account := range accounts {
			more, err := m.accountPages(ctx, account, list, s, yield)
			if err != nil && m.Skip(ctx, account, err) {
				continue
			}
			if err != nil {
				yield(nil, m.RedisError(ctx, err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// accountPages pages through those of one account. more is what yield last said.
func (m *Model) accountPages(ctx context.Context, account string, list ListSpec, s Filter, yield func([]tasks.Lookup, error) bool) (more bool, err error) {
	for ids, err := range m.Ledger.Listed(ctx, account, list.list) {
		if err != nil {
			return false, err
		}
		for page := range slices.Chunk(ids, PageSize) {
			found, err := m.Ledger.GetMany(ctx, account, page)
			if err != nil {
				return false, err
			}
			found = slices.DeleteFunc(found, func(f tasks.Lookup) bool { return !s.takes(list, f) })
			if len(found) > 0 && !yield(found, nil) {
				return false, nil
			}
		}
	}
	found, err := m.completions(ctx, account, list)
	if err != nil {
		return false, err
	}
	found = slices.DeleteFunc(found, func(f tasks.Lookup) bool { return !s.takes(list, f) })
	return len(found) == 0 || yield(found, nil), nil
}

// completions reads the batches that belong into a list of jobs. They are few.
func (m *Model) completions(ctx context.Context, account string, list ListSpec) ([]tasks.Lookup, error) {
	var out []tasks.Lookup
	if list.Batches == "" {
		return nil, nil
	}
	for keys, err := range m.Ledger.Listed(ctx, account, list.Batches) {
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			ref, err := tasks.ParseBatchRef(account + "/" + key)
			if err != nil {
				continue // of a newer camsq
			}
			c, err := m.Ledger.Completion(ctx, ref)
			switch {
			case err == nil:
				out = append(out, tasks.Lookup{Record: asJob(c)})
			case IsNotFound(err):
			case errors.Is(err, tasks.ErrUnreadable):
				out = append(out, tasks.Lookup{Record: asJob(tasks.Completion{BatchRef: ref}), Err: err})
			default:
				return nil, err
			}
		}
	}
	return out, nil
}

// ListSpec is a list of jobs that wait for an operator, and what is printed about each.
type ListSpec struct {
	list ledger.List
	// batches is the list of completions that belongs to it, or "": see [asJob].
	Batches ledger.List
	// one is what the list holds, as in "3 failed jobs".
	Noun string
	// there says whether a job still belongs into the list.
	belongs func(tasks.Record) bool
	// code and message say why the job is there.
	Code, Message func(tasks.Record) string
}

// ListOfState is the list of the jobs in a state.
func ListOfState(s tasks.State) ListSpec {
	return ListSpec{
		list: ledger.StateList(s), Noun: string(s) + " job",
		belongs: func(r tasks.Record) bool { return r.State == s },
		Code:    func(r tasks.Record) string { return r.Code },
		Message: func(r tasks.Record) string { return r.Message },
	}
}

// ListOfDeadCallbacks is the list of the jobs and batches whose callback was given up.
func ListOfDeadCallbacks() ListSpec {
	return ListSpec{
		list: ledger.DeadCallbacks, Batches: ledger.DeadBatches, Noun: "dead callback",
		belongs: func(r tasks.Record) bool { return r.Callback.State == tasks.CallbackDead },
		Code:    func(r tasks.Record) string { return r.Callback.Reason },
		Message: func(r tasks.Record) string {
			event := r.State.EventType()
			if r.State == BatchCompleted {
				event = tasks.EventBatchCompleted
			}
			return string(event) + ", not taken in " + humanize.Tries(r.Callback.Tries)
		},
	}
}

// asJob makes a record of a completed batch, so that a list can show both. Its ID is the
// name that is shown; [targetOf] returns the batch again.
func asJob(c tasks.Completion) tasks.Record {
	r := tasks.Record{State: BatchCompleted, Since: c.Facts.Completed, Now: c.Facts.Completed}
	r.Account, r.ID, r.Batch, r.Completes, r.Callback = c.Account, c.Key(), c.Batch, c.Completion, c.Callback
	return r
}

// CodeKey is what jobs are counted by.
type CodeKey struct{ Account, Code string }

// CodeCounts counts jobs by account and code.
type CodeCounts struct {
	Sum    int64
	Counts map[CodeKey]int64
}

// Add counts the jobs of a page.
func (c *CodeCounts) Add(list ListSpec, page []tasks.Lookup) {
	if c.Counts == nil {
		c.Counts = map[CodeKey]int64{}
	}
	for _, f := range page {
		code := string(RowUnreadable)
		if f.Err == nil {
			code = list.Code(f.Record)
		}
		c.Counts[CodeKey{f.Record.Account, code}]++
		c.Sum++
	}
}
