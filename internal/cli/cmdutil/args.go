package cmdutil

import (
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/exit"
)

// NoArguments refuses arguments, for a command that takes none.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit.Usagef("%s takes no arguments, not %q; see camsq %s --help", cmd.Name(), args[0], cmd.Name())
	}
	return nil
}
