package recovery_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/tasks"
)

// sweptAccount is the ledger and the queues of one account, and records what a sweeper does.
type sweptAccount struct {
	jobs, live         int64
	archived, unleased []string
	unfinished, owed   []string
	batches            []string
	known              []string
	unreadable         []string
	lead               func() (bool, error)
	failing            error // of the look over the queue

	requeued          [][]string
	callbacksRequeued [][]string
	prunes            int
	surveys           int
}

func pages(ids []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) { yield(ids, nil) }
}

func (s *sweptAccount) Get(_ context.Context, ref tasks.Ref) (tasks.Record, error) {
	switch {
	case slices.Contains(s.unreadable, ref.ID):
		return tasks.Record{}, tasks.ErrUnreadable
	case slices.Contains(s.known, ref.ID):
		return tasks.Record{}, nil
	}
	return tasks.Record{}, tasks.ErrNotFound
}

func (s *sweptAccount) TryLock(context.Context, string, string, time.Duration) (bool, error) {
	if s.lead == nil {
		return true, nil
	}
	return s.lead()
}

func (s *sweptAccount) CountUnfinished(context.Context, string) (int64, error) { return s.jobs, nil }

func (s *sweptAccount) Unfinished(_ context.Context, _ string, age time.Duration) iter.Seq2[[]string, error] {
	if age < time.Minute {
		return pages(nil) // a worker may still be about to tell the queue
	}
	return pages(s.unfinished)
}

func (s *sweptAccount) PendingCallbacks(_ context.Context, _ string, age time.Duration) iter.Seq2[[]string, error] {
	if age < time.Minute {
		return pages(nil)
	}
	return pages(s.owed)
}

func (s *sweptAccount) OwedBatches(_ context.Context, _ string, age time.Duration) iter.Seq2[[]string, error] {
	if age < time.Minute {
		return pages(nil)
	}
	return pages(s.batches)
}

func (s *sweptAccount) Prune(context.Context, string) error {
	s.prunes++
	return nil
}

func (s *sweptAccount) Survey(context.Context, string) (int64, []string, []string, error) {
	s.surveys++
	return s.live, s.archived, s.unleased, s.failing
}

func (s *sweptAccount) Requeue(_ context.Context, _ string, p iter.Seq2[[]string, error]) (int, error) {
	return collect(&s.requeued, p)
}

func (s *sweptAccount) RequeueCallbacks(_ context.Context, _ string, p iter.Seq2[[]string, error]) (int, error) {
	return collect(&s.callbacksRequeued, p)
}

func (s *sweptAccount) RequeueBatches(_ context.Context, _ string, p iter.Seq2[[]string, error]) (int, error) {
	return collect(&s.callbacksRequeued, p)
}

func collect(into *[][]string, p iter.Seq2[[]string, error]) (int, error) {
	n := 0
	for ids, err := range p {
		if err != nil {
			return n, err
		}
		if len(ids) > 0 {
			*into = append(*into, ids)
		}
		n += len(ids)
	}
	return n, nil
}

func TestASweepPutsBackWhatHasAJob(t *testing.T) {
	s := &sweptAccount{
		jobs: 5, live: 2,
		archived: []string{"a", "foreign", "sealed"}, unleased: []string{"b", "foreign"}, known: []string{"a", "b"},
		unreadable: []string{"sealed"}, unfinished: []string{"c"}, owed: []string{"d"}, batches: []string{"march#1"},
	}
	swept := map[string]int{}
	w := recovery.Sweeper{Accounts: []string{"acme"}, Store: s, Queue: s, OnSwept: func(kind string, n int) { swept[kind] += n }}
	noError(t, w.Sweep(t.Context(), "acme", false))
	want(t, "requeued", s.requeued, [][]string{{"a", "sealed"}, {"b"}, {"c"}})
	want(t, "callbacks", s.callbacksRequeued, [][]string{{"d"}, {"march#1"}})
	want(t, "reported", swept, map[string]int{"archived": 2, "no_lease": 1, "task_lost": 1, "callback_owed": 2})
	want(t, "trims", s.prunes, 1)
}

func TestASweepLooksAtEveryJobOnlyIfTheNumbersDiffer(t *testing.T) {
	tests := []struct {
		name  string
		live  int64
		whole bool
		looks bool
	}{
		{"as many tasks as jobs", 5, false, false},
		{"more tasks than jobs", 7, false, false},
		{"fewer tasks than jobs", 4, false, true},
		{"as many, and it is time for a whole sweep", 5, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sweptAccount{jobs: 5, live: tt.live, unfinished: []string{"c"}}
			noError(t, recovery.Sweeper{Store: s, Queue: s}.Sweep(t.Context(), "acme", tt.whole))
			want(t, "it looked", len(s.requeued) == 1, tt.looks)
		})
	}
}

func TestOneProcessSweepsAndOneFailureDoesNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := 0
		s := &sweptAccount{jobs: 1, live: 1, unfinished: []string{"c"}, failing: errors.New("redis: connection lost")}
		s.lead = func() (bool, error) {
			turn++
			switch turn {
			case 1:
				return false, nil // another process sweeps
			case 2:
				return false, errors.New("redis: connection lost")
			case 4:
				s.failing = nil
			}
			return true, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute-time.Second)
		defer cancel()
		recovery.Sweeper{Accounts: []string{"acme"}, Store: s, Queue: s}.Run(ctx)
		want(t, "surveys in 15 min, without two", s.surveys, 28)
		want(t, "whole sweeps, after one that failed", len(s.requeued), 2)
	})
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("error: %v", err)
	}
}
