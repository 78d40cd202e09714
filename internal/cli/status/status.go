package status

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/cli/watch"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// New makes the command status.
func New(f *cmdutil.Factory) *cobra.Command {
	asJSON, wait := false, false
	cmd := &cobra.Command{
		Use:   "status [JOB|BATCH]",
		Short: "Show the state of all accounts, a job or a batch",
		Long: `status shows where the jobs of every account stand, or one job (ID or
ACCOUNT/ID), or one batch.

  queued     waits in the queue, for its backoff or for the account's quota
  calling    the call is being made
  uncertain  the answer was lost; the outcome is being looked up
  held       only an operator can decide how it ended: camsq held
  created    has its one instance
  failed     has no instance and is not tried again by itself: camsq failed
  cancelled  cancelled before its call was sent

For a batch it also shows failure codes, the remaining time at the current rate,
and whether the batch is completed: its producer has sent the last job (camsq
enqueue says so at the end of a file), and every job has ended, also those that
were held. With --wait it follows the batch until no job of it goes further by
itself.

Exit codes: 0 it was found, however it stands; 1 there is no such job or batch,
or, with --wait, some jobs have no instance in the end, or the wait was stopped
with Ctrl-C; 2 wrong usage; 3 Redis did not answer.`,
		Example: `  camsq status
  camsq status tenants
  camsq status --wait tenants
  camsq status --json default/order-7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Usagef("status takes one job or batch, not %d", len(args))
			}
			if wait && len(args) == 0 {
				return exit.Usagef("--wait needs a batch to follow: camsq status --wait BATCH")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := f.App(cmd)
			if err != nil {
				return err
			}
			defer a.Close()
			if len(args) == 0 {
				return overview(cmd.Context(), f, a, asJSON)
			}
			if wait {
				return waitFor(cmd.Context(), f, a, args[0], asJSON)
			}
			return statusOf(cmd.Context(), f, a, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow it until nothing goes further by itself; Ctrl-C stops following, not the jobs")
	cmdutil.AddSettings(cmd, config.Client|config.Pace)
	return cmd
}

func overview(ctx context.Context, f *cmdutil.Factory, a *app.App, asJSON bool) error {
	names, err := a.AccountNames(ctx)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	found := make([]inspect.AccountStatus, len(names))
	errs := inspect.EachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		found[i], err = a.AccountStatus(ctx, names[i])
		return err
	})
	var all []inspect.AccountStatus
	for i, name := range names {
		if errs[i] != nil && !a.Skip(ctx, name, errs[i]) {
			return a.RedisError(ctx, errs[i])
		}
		if errs[i] == nil {
			found[i].Configured = slices.Contains(a.Config.Names(), name)
			all = append(all, found[i])
		}
	}
	if len(all) == 0 {
		return a.Skipped(ctx)
	}
	if asJSON {
		if err := render.PrintJSON(f.Stdout, map[string]any{"accounts": all}); err != nil {
			return err
		}
		return a.Skipped(ctx)
	}
	printOverview(f.Stdout, all)
	if text := a.FullestServer(ctx, all); text != "" {
		fmt.Fprintf(f.Stdout, "\n%s\n", text)
	}
	return a.Skipped(ctx)
}

// statusOf shows what goes by the name: jobs, batches, or both.
func statusOf(ctx context.Context, f *cmdutil.Factory, a *app.App, name string, asJSON bool) error {
	jobs, err := a.FindJobs(ctx, name)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	found, err := a.BatchesOf(ctx, name)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	if len(jobs)+len(found) == 0 {
		return a.NotFound(ctx, name)
	}
	batches := []inspect.BatchStatus{}
	for _, b := range found {
		s, err := a.BatchStatus(ctx, b)
		if err != nil {
			return a.RedisError(ctx, err)
		}
		batches = append(batches, s)
	}
	if asJSON {
		return render.PrintJSON(f.Stdout, map[string]any{"jobs": jobs, "batches": batches})
	}
	for i, j := range jobs {
		if i > 0 {
			fmt.Fprintln(f.Stdout)
		}
		printJob(j, f.Stdout)
	}
	if len(batches) == 0 {
		return nil
	}
	if len(jobs) > 0 {
		fmt.Fprintln(f.Stdout)
	}
	watch.PrintBatches(f.Stdout, batches)
	return nil
}

// waitFor follows the batch of that name to its end, or else the job.
func waitFor(ctx context.Context, f *cmdutil.Factory, a *app.App, name string, asJSON bool) error {
	found, err := a.BatchesOf(ctx, name)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	next := fmt.Sprintf("The jobs go on. To follow them again: camsq status --wait %s\n", humanize.ShellQuote(name))
	if len(found) > 0 {
		return watch.WaitForBatches(ctx, f, a, []string{name}, asJSON, next)
	}
	jobs, err := a.FindJobs(ctx, name)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	if len(jobs) == 0 {
		return a.NotFound(ctx, name)
	}
	var all []importer.Accepted
	for _, j := range jobs {
		all = append(all, importer.Accepted{Ref: tasks.Ref{Account: j.Account, ID: j.ID}, State: j.State})
	}
	c := watch.NewJobSource(a.Ledger, all)
	follower := watch.New(f, a, c)
	start := time.Now()
	err = follower.Follow(ctx)
	follower.Progress.Close()
	if err != nil {
		return watch.Stopped(f, a, err, time.Since(start), inspect.Total(c.Counts()), next)
	}
	if err := statusOf(ctx, f, a, name, asJSON); err != nil {
		return err
	}
	if sum := inspect.Total(c.Counts()); sum[tasks.StateCreated] != sum.Sum() {
		return exit.ErrSomeFailed
	}
	return nil
}
