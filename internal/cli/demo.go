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
		Long: `demo imports FILE, or a built-in example, and processes it while you watch, in
10 to 20 s. Redis, a fake API, the webhook receiver and two workers run inside
this one process, on loopback addresses. It reads none of your settings, needs
no credentials, and contacts no real service. A few calls and a webhook fail on
purpose.`,
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
	cmd.Flags().BoolVar(&verbose, "verbose", false, "print the workers' logs to stderr")
	return cmd
}
