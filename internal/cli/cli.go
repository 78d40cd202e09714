package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
)

// silent drops what go-redis would write to stderr by itself: go-redis also returns
// these errors, and camsq prints each once.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// setGlobals sets what libraries keep for a whole process.
var setGlobals = sync.OnceFunc(func() {
	redis.SetLogger(silent{})
	cobra.EnableCommandSorting = false // families has the order in which a newcomer meets them
})

// Run runs one command with the given arguments, environment and streams, and returns
// the exit code. It prints at most one line for an error.
func Run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return execute(ctx, &cmdutil.Factory{Env: env, Stdin: stdin, Stdout: stdout, Stderr: stderr}, args)
}

func execute(ctx context.Context, f *cmdutil.Factory, args []string) int {
	setGlobals()
	stdout := &output{w: f.Stdout}
	f.Stdout = stdout
	root := root(f)
	root.SetArgs(args)
	root.SetIn(f.Stdin)
	root.SetOut(f.Stdout)
	root.SetErr(f.Stderr)
	err := stdout.failure(root.ExecuteContext(ctx))
	if err == nil {
		return exit.CodeOK
	}
	if err != exit.ErrSomeFailed && err != exit.ErrNotWritten {
		fmt.Fprintln(f.Stderr, "camsq:", err)
	}
	if e, ok := errors.AsType[*exit.Error](err); ok {
		return e.Code
	}
	return exit.CodeUsage // cobra's own: an unknown command or flag
}

func root(f *cmdutil.Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "camsq",
		Short: "Create Alibaba Cloud Chat App (CAMS) instances from a queue, each at most once",
		Long: `camsq creates Alibaba Cloud Chat App Message Service (CAMS) instances from a
queue. Jobs come from a file or a program and go into Redis; workers make the
signed calls within each account's quota; every outcome goes to a signed
webhook. Each job creates at most one instance, whatever dies in between.

To see it work on this machine alone: camsq demo

Each setting is a flag of the commands that use it, a variable of the
environment (the name in capitals) or a line of the file that CAMSQ_CONFIG
names; the flag goes first, then the environment. camsq worker --help lists all
of them. Secrets have no flag:
` + config.SecretSettings(),
		Version:       app.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetUsageFunc(cmdutil.Usage)
	root.SetFlagErrorFunc(cmdutil.FlagError)
	for _, family := range families(f) {
		root.AddGroup(&cobra.Group{ID: family.title, Title: family.title})
		for _, cmd := range family.commands {
			cmd.GroupID = family.title
			cmd.Flags().SortFlags = false // own flags, then the settings in their order
			root.AddCommand(cmd)
		}
	}
	return root
}
