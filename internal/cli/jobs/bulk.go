package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
)

// refusal distinguishes what is wrong with a job from a Redis that is away.
func refusal(ctx context.Context, m *inspect.Model, err error) error {
	_, refused := errors.AsType[*operate.RefusedError](err)
	for _, about := range []error{tasks.ErrNotFound, tasks.ErrUnreadable, tasks.ErrConflict, tasks.ErrClaimed} {
		refused = refused || errors.Is(err, about)
	}
	if refused {
		return exit.With(exit.CodeSomeFailed, err)
	}
	return m.RedisError(ctx, err)
}

// bulkAction is an action on many jobs.
type bulkAction struct {
	*cmdutil.Factory
	app  *app.App
	list inspect.ListSpec
	do   func(context.Context, ...operate.Target) []error
	// done says what was done with a job.
	done string
	// orBatch says that a name could have been that of a batch.
	orBatch bool
}

// byName applies the action to the jobs of these names, and says why it could not
// be applied to some.
func (w *bulkAction) byName(ctx context.Context, names []string) error {
	var targets []operate.Target
	failed := false
	for _, name := range names {
		target, err := w.find(ctx, name)
		if ends(ctx, err) {
			return err
		}
		if err != nil {
			failed = true
			fmt.Fprintln(w.Stderr, "camsq:", err)
			continue
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	for i, err := range w.do(ctx, targets...) {
		if err == nil {
			fmt.Fprintf(w.Stdout, "%s: %s\n", targets[i], w.done)
			continue
		}
		failed = true
		if err = refusal(ctx, w.app.Model, err); ends(ctx, err) {
			return err
		}
		fmt.Fprintln(w.Stderr, "camsq:", err)
	}
	if failed {
		return exit.ErrSomeFailed
	}
	return nil
}

// find finds the one job of a name, or the completed batch if the list has such.
func (w *bulkAction) find(ctx context.Context, name string) (operate.Target, error) {
	if batch, err := tasks.ParseBatchRef(name); err == nil && w.list.Batches != "" {
		switch _, err := w.app.Ledger.Completion(ctx, batch); {
		case inspect.IsNotFound(err):
			return operate.Target{}, exit.With(exit.CodeSomeFailed, fmt.Errorf("there is no completed batch %q", name))
		case err != nil:
			return operate.Target{}, refusal(ctx, w.app.Model, err)
		}
		return operate.Completion(batch), nil
	}
	job, err := w.app.OneJob(ctx, name, w.orBatch)
	return operate.Job(tasks.Ref{Account: job.Account, ID: job.ID}), err
}

// ends says whether an error is not about one job.
func ends(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*exit.Error](err)
	return ok && (e.Code != exit.CodeSomeFailed || ctx.Err() != nil)
}

// all applies the action to all jobs of the list that match. It says how many first.
func (w *bulkAction) all(ctx context.Context, s inspect.Filter) error {
	var counts inspect.CodeCounts
	for page, err := range w.app.Pages(ctx, w.list, s) {
		if err != nil {
			return err
		}
		counts.Add(w.list, page)
	}
	if counts.Sum == 0 {
		fmt.Fprintf(w.Stdout, "There is no %s%s.\n", w.list.Noun, s)
		return w.app.Skipped(ctx)
	}
	printCauses(&counts, w.Stdout, w.list, s)
	var done, moved, bad int64
	for page, err := range w.app.Pages(ctx, w.list, s) {
		if err != nil {
			return w.stopped(err, done)
		}
		targets := make([]operate.Target, len(page))
		for i, f := range page {
			targets[i] = targetOf(f.Record)
		}
		var broken error
		for _, err := range w.do(ctx, targets...) {
			_, refused := errors.AsType[*operate.RefusedError](err)
			switch {
			case err == nil:
				done++
			case refused, inspect.IsNotFound(err):
				moved++
			default:
				if err = refusal(ctx, w.app.Model, err); ends(ctx, err) {
					broken = err
					continue
				}
				bad++
				fmt.Fprintln(w.Stderr, "camsq:", err)
			}
		}
		if broken != nil {
			return w.stopped(broken, done)
		}
	}
	// Between the two readings of the list jobs leave it, and others come to it.
	came := max(0, done+moved+bad-counts.Sum)
	moved += max(0, counts.Sum-done-moved-bad)
	fmt.Fprintf(w.Stdout, "%s %s", humanize.Group(done), w.done)
	if came > 0 {
		fmt.Fprintf(w.Stdout, ", with %s that came meanwhile", humanize.Group(came))
	}
	fmt.Fprintln(w.Stdout, ".")
	if moved > 0 {
		fmt.Fprintf(w.Stdout, "%s had gone on meanwhile.\n", humanize.Group(moved))
	}
	if bad > 0 {
		return exit.ErrSomeFailed
	}
	return w.app.Skipped(ctx)
}

// stopped adds to an error in the middle of the work what holds.
func (w *bulkAction) stopped(err error, done int64) error {
	if e, ok := errors.AsType[*exit.Error](err); ok {
		return exit.With(e.Code, fmt.Errorf("%s %s, then: %w; run it again for the rest", humanize.Group(done), w.done, e.Err))
	}
	return err
}
