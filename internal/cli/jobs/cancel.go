package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// NewCancel makes the command cancel.
func NewCancel(f *cmdutil.Factory) *cobra.Command {
	var s inspect.Filter
	cmd := &cobra.Command{
		Use:   "cancel JOB|BATCH... | --batch NAME",
		Short: "Cancel jobs whose API call has not started",
		Long: `cancel ends queued jobs for good: those that are named (ID or ACCOUNT/ID), or
those of a batch. A job whose call was already sent cannot be cancelled: run
cancel again for jobs that return to the queue. No webhook reports a cancelled
job.

Exit codes: 0 nothing of what is named goes on; 1 some jobs do, or there is no
such job or batch; 2 wrong usage; 3 Redis did not answer.`,
		Example: `  camsq cancel order-7
  camsq cancel --batch tenants --account eu`,
		RunE: func(cmd *cobra.Command, args []string) error { return cancel(f, cmd, args, s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Batch, "batch", "", "the queued jobs of the batch of this `name`")
	flags.StringVar(&s.Account, "account", "", "with --batch: only those of the account of this `name`")
	cmdutil.AddSettings(cmd, config.Client|config.Operator)
	return cmd
}

func cancel(f *cmdutil.Factory, cmd *cobra.Command, names []string, s inspect.Filter) error {
	switch {
	case len(names) == 0 && s.Batch == "":
		return exit.Usagef("cancel needs jobs or a batch; see camsq cancel --help")
	case len(names) > 0 && s != inspect.Filter{}:
		return exit.Usagef("cancel takes either names or --batch and --account")
	}
	a, err := f.AppFor(cmd, app.Operating)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx := cmd.Context()
	w := &bulkAction{Factory: f, app: a, list: inspect.ListOfState(tasks.StateQueued), do: cmdutil.Operator(a, f).Cancel, done: "cancelled", orBatch: true}
	if len(names) == 0 {
		return w.cancelBatch(ctx, s)
	}
	var jobs []string
	failed := false
	for _, name := range names {
		counts, _, err := a.Batch(ctx, inspect.Filter{Batch: name})
		if err != nil {
			return err
		}
		if counts == nil {
			jobs = append(jobs, name)
			continue
		}
		twins, err := a.FindJobs(ctx, name)
		switch {
		case err != nil:
			return a.RedisError(ctx, err)
		case len(twins) > 0:
			return exit.Usagef("%s is a batch and also job %s: give --batch for the one, ACCOUNT/ID for the other", name, twins[0].Job)
		}
		if err := w.cancelBatch(ctx, inspect.Filter{Batch: name}); errors.Is(err, exit.ErrSomeFailed) {
			failed = true
		} else if err != nil {
			return err
		}
	}
	if len(jobs) > 0 {
		if err := w.byName(ctx, jobs); err != nil {
			return err
		}
	}
	if failed {
		return exit.ErrSomeFailed
	}
	return nil
}

// cancelBatch cancels the queued jobs of a batch, and reports those that go on.
func (w *bulkAction) cancelBatch(ctx context.Context, s inspect.Filter) error {
	counts, open, err := w.app.Batch(ctx, s)
	if err != nil {
		return err
	}
	if counts == nil {
		return exit.With(exit.CodeSomeFailed, fmt.Errorf("there is no batch %q%s", s.Batch, inspect.Filter{Account: s.Account}))
	}
	if inspect.OpenJobs(counts) == 0 {
		fmt.Fprintf(w.Stdout, "There is nothing left to cancel%s: %s.\n", s, counts)
		w.neverSent(s.Batch, open)
		return nil
	}
	if err := w.all(ctx, s); err != nil {
		return err
	}
	if counts, open, err = w.app.Batch(ctx, s); err != nil {
		return err
	}
	w.neverSent(s.Batch, open)
	on := inspect.StateCounts{}
	for state, n := range counts {
		if !inspect.Terminal(state) {
			on[state] = n
		}
	}
	if on.Sum() == 0 {
		return nil
	}
	fmt.Fprintf(w.Stderr, "camsq: %s of batch %s could not be cancelled (%s): their call was already sent; run this again later\n",
		humanize.Plural(on.Sum(), "job"), humanize.Sanitize(s.Batch), on)
	return exit.ErrSomeFailed
}

// neverSent reports the rows that cancel does not reach, if a batch is open for them.
func (w *bulkAction) neverSent(batch string, open bool) {
	if open {
		fmt.Fprintf(w.Stderr, "camsq: batch %s is not closed: rows that were never sent are not cancelled; sending the file again would queue them\n", humanize.Sanitize(batch))
	}
}
