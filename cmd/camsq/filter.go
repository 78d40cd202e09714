package main

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// filter says which jobs of a list are meant.
type filter struct {
	account, code, batch string
}

func (s *filter) flags(f *pflag.FlagSet) {
	f.StringVar(&s.account, "account", "", "only jobs of the account of this `name`")
	f.StringVar(&s.code, "code", "", "only jobs with this `code`")
	f.StringVar(&s.batch, "batch", "", "only jobs of the batch of this `name`")
}

// accountsOf are those that are meant, also ones that are not configured here and
// have jobs: nobody else may look after them.
func (n *model) accountsOf(ctx context.Context, s filter) ([]string, error) {
	names, err := n.accounts(ctx)
	if err != nil {
		return nil, n.noAnswer(ctx, err)
	}
	if s.account == "" {
		return names, nil
	}
	if !slices.Contains(names, s.account) {
		return nil, usage("--account %s: there is no such account; there is %s", s.account, strings.Join(names, ", "))
	}
	return []string{s.account}, nil
}

// String is " of batch b with code c", to follow what is selected from.
func (s filter) String() string {
	text := ""
	for _, part := range [][2]string{{" in account ", s.account}, {" of batch ", s.batch}, {" with code ", s.code}} {
		if part[1] != "" {
			text += part[0] + plain(part[1])
		}
	}
	return text
}

// takes says whether a job that was looked up is meant. A job that has left the
// list meanwhile is not; one that cannot be read has neither code nor batch.
func (s filter) takes(list jobList, f ledger.Found) bool {
	switch {
	case isNotFound(f.Err):
		return false
	case f.Err != nil:
		return s.code == "" && s.batch == ""
	}
	r := f.Record
	return list.there(r) && (s.code == "" || s.code == list.code(r)) && (s.batch == "" || s.batch == r.Batch)
}

// read pages through the jobs of a list that are meant, each account's newest
// first. Jobs may leave the list meanwhile, also by what is done with a page. Accounts
// whose part of a cluster is away are left out: see [node.missing].
func (n *model) read(ctx context.Context, list jobList, s filter) iter.Seq2[[]ledger.Found, error] {
	return func(yield func([]ledger.Found, error) bool) {
		accounts, err := n.accountsOf(ctx, s)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, account := range accounts {
			more, err := n.readAccount(ctx, account, list, s, yield)
			if err != nil && n.miss(ctx, account, err) {
				continue
			}
			if err != nil {
				yield(nil, n.noAnswer(ctx, err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// readAccount pages through those of one account. more is what yield last said.
func (n *model) readAccount(ctx context.Context, account string, list jobList, s filter, yield func([]ledger.Found, error) bool) (more bool, err error) {
	for ids, err := range n.ledger.Listed(ctx, account, list.list) {
		if err != nil {
			return false, err
		}
		for page := range slices.Chunk(ids, pageSize) {
			found, err := n.ledger.GetMany(ctx, account, page)
			if err != nil {
				return false, err
			}
			found = slices.DeleteFunc(found, func(f ledger.Found) bool { return !s.takes(list, f) })
			if len(found) > 0 && !yield(found, nil) {
				return false, nil
			}
		}
	}
	found, err := n.completions(ctx, account, list)
	if err != nil {
		return false, err
	}
	found = slices.DeleteFunc(found, func(f ledger.Found) bool { return !s.takes(list, f) })
	return len(found) == 0 || yield(found, nil), nil
}

// completions reads the batches that belong into a list of jobs. They are few.
func (n *model) completions(ctx context.Context, account string, list jobList) ([]ledger.Found, error) {
	var out []ledger.Found
	if list.batches == "" {
		return nil, nil
	}
	for keys, err := range n.ledger.Listed(ctx, account, list.batches) {
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			ref, err := tasks.ParseBatchRef(account + "/" + key)
			if err != nil {
				continue // of a newer camsq
			}
			c, err := n.ledger.Completion(ctx, ref)
			switch {
			case err == nil:
				out = append(out, ledger.Found{Record: asJob(c)})
			case isNotFound(err):
			case errors.Is(err, tasks.ErrUnreadable):
				out = append(out, ledger.Found{Record: asJob(tasks.Completion{BatchRef: ref}), Err: err})
			default:
				return nil, err
			}
		}
	}
	return out, nil
}
