package cli

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/examples"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/lab/demo"
)

func demoCommand(f *cmdutil.Factory) *cobra.Command {
	verbose := false
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Run everything locally: embedded Redis, fake API, webhook receiver",
		Long: `demo imports FILE, or a file of its own, and works it off before your eyes, in 10 to 20 s.
Redis, the cloud, the webhook receiver and two workers run inside this one process, on
loopback addresses. No setting and no credential of yours is used, and no real cloud, Redis
or receiver is touched. A few calls and a webhook go wrong on purpose.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, raw := "examples/tenants.csv", examples.Tenants
			if len(args) > 0 {
				var err error
				name = args[0]
				if raw, err = f.Dir.ReadFile(name); err != nil {
					return exit.Usagef("%w", err)
				}
			}
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(slog.NewTextHandler(f.Stderr, nil))
			}
			return demo.Run(cmd.Context(), f.Stdout, log, name, raw)
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show the workers' logs, on stderr")
	return cmd
}
