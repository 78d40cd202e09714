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
		Short: "Take jobs from the queue and make the calls, until told to stop",
		Long: `worker takes jobs from the queue and makes the calls. Start as many as you like: the
quota of each account is shared by all. On SIGTERM no new call begins, calls under way
end and are recorded, and the exit code is 0.`,
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
