package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/exit"
)

// TestHelpFitsATerminal holds every line of every command's help to 80 columns, the
// width of a terminal that its user has not resized.
func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	commands := [][]string{{}}
	for _, family := range families(&cmdutil.Factory{}) {
		for _, cmd := range family.commands {
			commands = append(commands, []string{cmd.Name()})
		}
	}
	for _, args := range commands {
		var stdout, stderr strings.Builder
		args = append(args, "--help")
		if code := Run(t.Context(), args, nil, strings.NewReader(""), &stdout, &stderr); code != exit.CodeOK {
			t.Errorf("camsq %s: exit code %d: %s", strings.Join(args, " "), code, stderr.String())
		}
		if stdout.Len() == 0 {
			t.Errorf("camsq %s prints nothing", strings.Join(args, " "))
		}
		for line := range strings.Lines(stdout.String()) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("camsq %s: %d columns: %s", strings.Join(args, " "), utf8.RuneCountInString(line), line)
			}
		}
	}
}
