package cli

import (
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/cli/accounts"
	"github.com/camsq/camsq/internal/cli/check"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	enqueuecmd "github.com/camsq/camsq/internal/cli/enqueue"
	"github.com/camsq/camsq/internal/cli/fake"
	"github.com/camsq/camsq/internal/cli/jobs"
	"github.com/camsq/camsq/internal/cli/results"
	"github.com/camsq/camsq/internal/cli/status"
)

// commands are camsq's subcommands, in the order in which a newcomer meets them.
func commands(p *cmdutil.Factory) []*cobra.Command {
	return []*cobra.Command{
		demoCommand(p),
		enqueuecmd.New(p),
		status.New(p),
		results.New(p),
		jobs.NewFailed(p),
		jobs.NewHeld(p),
		jobs.NewRetry(p),
		jobs.NewResolve(p),
		jobs.NewCancel(p),
		accounts.NewPause(p),
		accounts.NewResume(p),
		accounts.NewLimit(p),
		workerCommand(p),
		fake.New(p),
		check.New(p),
		proveCommand(p),
	}
}
