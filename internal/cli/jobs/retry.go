package jobs

import (
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// NewRetry makes the command retry.
func NewRetry(f *cmdutil.Factory) *cobra.Command {
	var o retryOptions
	cmd := &cobra.Command{
		Use:   "retry JOB... | --batch NAME | --code CODE | --all",
		Short: "Put failed jobs back into the queue with another budget",
		Long: `retry gives failed jobs another budget of tries and time, and puts them back
into the queue: those that are named (ID or ACCOUNT/ID), or all that match. A
job with an uncertain call in its past is looked up first: an instance that
appeared late is adopted, not created twice. The new outcome is a webhook event
of its own.

With --callbacks it replays callbacks that were given up instead, as camsq
failed --callbacks lists them, those of batches too; --code is then the reason
that is shown there.

Exit codes: 0 all were put back; 1 some could not be, and stderr says why; 2
wrong usage; 3 Redis did not answer.`,
		Example: `  camsq retry default/order-7 order-8
  camsq retry --code camsq.TriesSpent --account default
  camsq retry --callbacks --all`,
		RunE: func(cmd *cobra.Command, args []string) error { return retry(f, cmd, args, o) },
	}
	flags := cmd.Flags()
	addFilterFlags(&o.Filter, flags)
	flags.BoolVar(&o.all, "all", false, "all of them")
	flags.BoolVar(&o.callbacks, "callbacks", false, "callbacks that were given up instead of failed jobs")
	cmdutil.AddSettings(cmd, config.Client|config.Operator)
	return cmd
}

type retryOptions struct {
	inspect.Filter
	all, callbacks bool
}

func retry(f *cmdutil.Factory, cmd *cobra.Command, names []string, o retryOptions) error {
	many := o.all || o.Batch != "" || o.Code != ""
	switch {
	case len(names) == 0 && !many:
		return exit.Usagef("retry needs jobs, or --batch, --code or --all; see camsq retry --help")
	case len(names) > 0 && (many || o.Account != ""):
		return exit.Usagef("retry takes either jobs or --batch, --code, --account and --all")
	}
	a, err := f.AppFor(cmd, app.Operating)
	if err != nil {
		return err
	}
	defer a.Close()
	w := &bulkAction{Factory: f, app: a, list: inspect.ListOfState(tasks.StateFailed), do: cmdutil.Operator(a, f).Retry, done: "put back into the queue"}
	if o.callbacks {
		w.list, w.do, w.done = inspect.ListOfDeadCallbacks(), cmdutil.Operator(a, f).Replay, "queued for delivery"
	}
	if many {
		return w.all(cmd.Context(), o.Filter)
	}
	return w.byName(cmd.Context(), names)
}
