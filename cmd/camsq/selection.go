package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// shelf is a list of jobs that wait for a person, and what is told of each.
type shelf struct {
	list ledger.List
	// one is what the list holds, as in "3 failed jobs".
	one string
	// there says whether a job still belongs into the list.
	there func(tasks.Record) bool
	// code and message say why the job is there.
	code, message func(tasks.Record) string
}

func stateShelf(s tasks.State) shelf {
	return shelf{
		list: ledger.StateList(s), one: string(s) + " job",
		there:   func(r tasks.Record) bool { return r.State == s },
		code:    func(r tasks.Record) string { return r.Code },
		message: func(r tasks.Record) string { return r.Message },
	}
}

func deadCallbacks() shelf {
	return shelf{
		list: ledger.DeadCallbacks, one: "dead callback",
		there: func(r tasks.Record) bool { return r.Callback.State == tasks.CallbackDead },
		code:  func(r tasks.Record) string { return r.Callback.Reason },
		message: func(r tasks.Record) string {
			return string(r.State.EventType()) + ", not taken in " + tries(r.Callback.Tries)
		},
	}
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// selection says which jobs of a shelf are meant.
type selection struct {
	account, code, batch string
}

func (s *selection) flags(f *pflag.FlagSet) {
	f.StringVar(&s.account, "account", "", "only jobs of the account of this `name`")
	f.StringVar(&s.code, "code", "", "only jobs with this `code`")
	f.StringVar(&s.batch, "batch", "", "only jobs of the batch of this `name`")
}

func (s selection) accounts(c config) ([]string, error) {
	if s.account == "" {
		return c.names(), nil
	}
	if !slices.Contains(c.names(), s.account) {
		return nil, usage("--account %s: there is no such account; there is %s", s.account, strings.Join(c.names(), ", "))
	}
	return []string{s.account}, nil
}

// takes says whether a job that was looked up is meant. A job that has left the
// shelf meanwhile is not; one that cannot be read has neither code nor batch.
func (s selection) takes(sh shelf, f ledger.Found) bool {
	switch {
	case isNotFound(f.Err):
		return false
	case f.Err != nil:
		return s.code == "" && s.batch == ""
	}
	r := f.Record
	return sh.there(r) && (s.code == "" || s.code == sh.code(r)) && (s.batch == "" || s.batch == r.Batch)
}

// read pages through the jobs of a shelf that are meant, each account's newest
// first. Jobs may leave the shelf meanwhile, also by what is done with a page.
func (n *node) read(ctx context.Context, sh shelf, s selection) iter.Seq2[[]ledger.Found, error] {
	return func(yield func([]ledger.Found, error) bool) {
		accounts, err := s.accounts(n.config)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, account := range accounts {
			for ids, err := range n.ledger.Listed(ctx, account, sh.list) {
				if err != nil {
					yield(nil, n.silent(ctx, err))
					return
				}
				for page := range slices.Chunk(ids, pageSize) {
					found, err := n.ledger.GetMany(ctx, account, page)
					if err != nil {
						yield(nil, n.silent(ctx, err))
						return
					}
					found = slices.DeleteFunc(found, func(f ledger.Found) bool { return !s.takes(sh, f) })
					if len(found) > 0 && !yield(found, nil) {
						return
					}
				}
			}
		}
	}
}

// silent is why Redis gave no answer: it is away, or the person wants none.
func (n *node) silent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &exitError{exitSomeFailed, fmt.Errorf("stopped: %w", context.Cause(ctx))}
	}
	return n.unreachable(err)
}
