package cmdutil

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/exit"
)

// OwnFlagsUsage leaves out the flags of the settings, for a command that has no use for them.
const OwnFlagsUsage = `Usage:
  {{.UseLine}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
`

// OnlyOwnFlags refuses the flags of settings that the command would not heed.
func OnlyOwnFlags(cmd *cobra.Command, heeded ...string) error {
	var err error
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && !slices.Contains(heeded, f.Name) {
			err = exit.Usagef("--%s has no meaning for %s; see camsq %[2]s --help", f.Name, cmd.Name())
		}
	})
	return err
}

func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit.Usagef("%s takes no arguments, and here is %q; see camsq %s --help", cmd.Name(), args[0], cmd.Name())
	}
	return nil
}
