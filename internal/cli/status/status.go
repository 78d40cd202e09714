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

func New(p *cmdutil.Factory) *cobra.Command {
	asJSON, wait := false, false
	cmd := &cobra.Command{
		Use:   "status [JOB|BATCH]",
		Short: "Show the state of all accounts, a job or a batch",
		Long: `status shows where the jobs of every account stand, or one job (ID or ACCOUNT/ID), or one batch.

  queued     waits for its turn, its backoff or the account's quota
  calling    the call is being made
  uncertain  the answer was lost; the outcome is being looked up
  held       only an operator can decide how it ended: camsq held
  created    has its one instance
  failed     has no instance and is not tried again by itself: camsq failed
  cancelled  cancelled before its call was sent

Of a batch it tells besides why jobs failed, how long the rest needs at the account's pace in
force, and whether it was completed: its producer has sent the last job (camsq enqueue says so at
the end of a file), and every job has ended, also those that were held. With --wait it follows the
batch until no job of it goes further by itself.

Exit codes: 0 it was found, however it stands; 1 there is no such job or batch, or, with --wait,
some jobs have no instance in the end, or the wait was stopped with Ctrl-C; 2 wrong usage;
3 Redis did not answer.`,
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
			n, err := p.App(cmd)
			if err != nil {
				return err
			}
			defer n.Close()
			if len(args) == 0 {
				return overview(p, cmd.Context(), n, asJSON)
			}
			if wait {
				return waitFor(p, cmd.Context(), n, args[0], asJSON)
			}
			return statusOf(p, cmd.Context(), n, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow it until nothing goes further by itself; Ctrl-C stops following, not the jobs")
	cmdutil.AddSettings(cmd, config.Client|config.Pace)
	return cmd
}

func overview(p *cmdutil.Factory, ctx context.Context, n *app.App, asJSON bool) error {
	names, err := n.AccountNames(ctx)
	if err != nil {
		return n.RedisError(ctx, err)
	}
	found := make([]inspect.AccountStatus, len(names))
	errs := inspect.EachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		found[i], err = n.AccountStatus(ctx, names[i])
		return err
	})
	var all []inspect.AccountStatus
	for i, name := range names {
		if errs[i] != nil && !n.Skip(ctx, name, errs[i]) {
			return n.RedisError(ctx, errs[i])
		}
		if errs[i] == nil {
			found[i].Configured = slices.Contains(n.Config.Names(), name)
			all = append(all, found[i])
		}
	}
	if len(all) == 0 {
		return n.Skipped(ctx)
	}
	if asJSON {
		if err := render.PrintJSON(p.Stdout, map[string]any{"accounts": all}); err != nil {
			return err
		}
		return n.Skipped(ctx)
	}
	printOverview(p.Stdout, all)
	if text := n.FullestServer(ctx, all); text != "" {
		fmt.Fprintf(p.Stdout, "\n%s\n", text)
	}
	return n.Skipped(ctx)
}

// statusOf shows what goes by the name: jobs, batches, or both.
func statusOf(p *cmdutil.Factory, ctx context.Context, n *app.App, name string, asJSON bool) error {
	jobs, err := n.FindJobs(ctx, name)
	if err != nil {
		return n.RedisError(ctx, err)
	}
	found, err := n.BatchesOf(ctx, name)
	if err != nil {
		return n.RedisError(ctx, err)
	}
	if len(jobs)+len(found) == 0 {
		return n.NotFound(ctx, name)
	}
	batches := []inspect.BatchStatus{}
	for _, b := range found {
		s, err := n.BatchStatus(ctx, b)
		if err != nil {
			return n.RedisError(ctx, err)
		}
		batches = append(batches, s)
	}
	if asJSON {
		return render.PrintJSON(p.Stdout, map[string]any{"jobs": jobs, "batches": batches})
	}
	for i, j := range jobs {
		if i > 0 {
			fmt.Fprintln(p.Stdout)
		}
		printJob(j, p.Stdout)
	}
	if len(batches) == 0 {
		return nil
	}
	if len(jobs) > 0 {
		fmt.Fprintln(p.Stdout)
	}
	watch.PrintBatches(p.Stdout, batches)
	return nil
}

// waitFor follows the batch of that name to its end, or else the job.
func waitFor(p *cmdutil.Factory, ctx context.Context, n *app.App, name string, asJSON bool) error {
	found, err := n.BatchesOf(ctx, name)
	if err != nil {
		return n.RedisError(ctx, err)
	}
	hints := func() {
		fmt.Fprintf(p.Stdout, "The jobs go on. To follow them again: camsq status --wait %s\n", humanize.ShellQuote(name))
	}
	if len(found) > 0 {
		return watch.WaitForBatches(p, ctx, n, []string{name}, asJSON, hints)
	}
	jobs, err := n.FindJobs(ctx, name)
	if err != nil {
		return n.RedisError(ctx, err)
	}
	if len(jobs) == 0 {
		return n.NotFound(ctx, name)
	}
	var all []importer.Accepted
	for _, j := range jobs {
		all = append(all, importer.Accepted{Ref: tasks.Ref{Account: j.Account, ID: j.ID}, State: j.State})
	}
	c := watch.NewJobSource(n.Ledger, all)
	f := watch.New(p, n, c)
	begin := time.Now()
	err = f.Follow(ctx)
	f.Progress.Close()
	if err != nil {
		return watch.Stopped(p, n, err, time.Since(begin), inspect.Total(c.Counts()), hints)
	}
	if err := statusOf(p, ctx, n, name, asJSON); err != nil {
		return err
	}
	if sum := inspect.Total(c.Counts()); sum[tasks.StateCreated] != sum.Sum() {
		return exit.ErrSomeFailed
	}
	return nil
}
