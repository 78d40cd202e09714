package cli

import (
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
)

func workerCommand(f *cmdutil.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Take jobs from the queue and call the API, until stopped",
		Long: `worker takes jobs from the queue and calls the API. Start as many workers as you
like: they share each account's quota. After SIGTERM a worker starts no new
call, records the calls that are in progress, and exits with 0.`,
		Args: cmdutil.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := f.Open(cmd)
			if err != nil {
				return err
			}
			defer a.Close()
			return a.RunWorker(cmd.Context(), app.WorkerOptions{Log: app.NewLog(a.Config, f.Stderr), Env: f.Env})
		},
	}
	cmdutil.AddSettings(cmd, config.Worker)
	return cmd
}
