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

// family is commands that serve one end.
type family struct {
	title    string
	commands []*cobra.Command
}

// families are camsq's commands, in the order in which a newcomer meets them.
func families(f *cmdutil.Factory) []family {
	return []family{
		{"Try it:", []*cobra.Command{demoCommand(f), fake.New(f), proveCommand(f)}},
		{"Enqueue and follow jobs:", []*cobra.Command{enqueuecmd.New(f), status.New(f), results.New(f)}},
		{"Decide about jobs:", []*cobra.Command{jobs.NewFailed(f), jobs.NewHeld(f), jobs.NewRetry(f), jobs.NewResolve(f), jobs.NewCancel(f)}},
		{"Control accounts:", []*cobra.Command{accounts.NewPause(f), accounts.NewResume(f), accounts.NewLimit(f)}},
		{"Run:", []*cobra.Command{workerCommand(f), check.New(f), versionCommand(f)}},
	}
}
