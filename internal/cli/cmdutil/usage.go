package cmdutil

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
)

// helpWidth is the most columns that a line of help has: the width of a terminal
// that its user has not resized.
const helpWidth = 80

// Usage prints how a command is used: its own flags, and apart from them the settings
// that it uses. It stands in for cobra's template, whose engine keeps the linker from
// leaving out methods that nothing calls: the binary would be 9 MB larger.
func Usage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(w, "Usage:\n  %s\n", line)
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, group := range cmd.Groups() {
		fmt.Fprintf(w, "\n%s\n", group.Title)
		for _, sub := range cmd.Commands() {
			if sub.GroupID == group.ID && sub.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-9s %s\n", sub.Name(), sub.Short)
			}
		}
	}
	own, settings := flagSet(), flagSet()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if len(f.Annotations[settingFlag]) > 0 {
			settings.AddFlag(f)
		} else {
			own.AddFlag(f)
		}
	})
	printFlags(w, "Flags:", own)
	printFlags(w, "Settings, also environment variables or lines of the file CAMSQ_CONFIG names:", settings)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n%s COMMAND --help shows the help of a command.\n", cmd.CommandPath())
	}
	return nil
}

// FlagError returns the usage error for a wrong flag. A setting that the command does
// not use gets another text than a flag that does not exist.
func FlagError(cmd *cobra.Command, err error) error {
	help := strings.TrimSpace(cmd.CommandPath()) + " --help"
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		for _, s := range config.Settings() {
			if s.Flag() == unknown.GetSpecifiedName() && !s.Secret {
				return exit.Usagef("%s does not use the setting --%s; see %s", cmd.Name(), s.Flag(), help)
			}
		}
	}
	return exit.Usagef("%w; see %s", err, help)
}

func flagSet() *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	return f
}

func printFlags(w io.Writer, title string, f *pflag.FlagSet) {
	if f.HasAvailableFlags() {
		fmt.Fprintf(w, "\n%s\n%s\n", title, strings.TrimRight(f.FlagUsagesWrapped(helpWidth), "\n"))
	}
}
