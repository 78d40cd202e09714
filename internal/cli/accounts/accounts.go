package accounts

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/worker"
)

// obeyed is when every worker that reaches the account's part of Redis does what a
// person has said: those that hear it at once, the others when they look.
var obeyed = "in " + humanize.Duration(worker.MaxPollAge)

// NewPause makes the command pause.
func NewPause(f *cmdutil.Factory) *cobra.Command {
	why := ""
	cmd := &cobra.Command{
		Use:   "pause ACCOUNT...",
		Short: "Stop the new calls of an account, until it is resumed",
		Long: `pause stops an account's new calls in every worker: at once as a rule, within 5
s whatever other part of a Redis Cluster is away. Calls under way end and are
recorded, and uncertain jobs are still looked up. Jobs can be sent meanwhile;
they wait.

Exit codes: 0 it is paused; 2 there is no such account; 3 Redis did not answer.`,
		Example: `  camsq pause emea --reason "wrong file, see ticket 17"`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if why = humanize.Sanitize(why); len(why) > operate.MaxNote {
				return exit.Usagef("--reason has %d bytes; it may have up to %d", len(why), operate.MaxNote)
			}
			return eachLane(f, cmd, names, func(ctx context.Context, a *app.App, account string) (string, error) {
				return fmt.Sprintf("paused: %s at the latest no worker begins a call any more, those under way end; to go on: camsq resume %s", obeyed, account),
					cmdutil.Operator(a, f).Pause(ctx, account, why)
			})
		},
	}
	cmd.Flags().StringVar(&why, "reason", "", "`text` that camsq status shows; nothing personal")
	cmdutil.AddSettings(cmd, config.Client)
	return cmd
}

// NewResume makes the command resume.
func NewResume(f *cmdutil.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume ACCOUNT...",
		Short: "Resume an account that was paused or that the API refused",
		Long: `resume ends a pause. If the API refuses the account or cannot be reached (camsq
status says why), one call tries it again at once, and the others follow when it
is let in.

Exit codes: 0 it may go on; 2 there is no such account; 3 Redis did not answer.`,
		Example: `  camsq resume emea`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return eachLane(f, cmd, names, func(ctx context.Context, a *app.App, account string) (string, error) {
				lane, err := a.LaneState(ctx, account)
				if err != nil {
					return "", err
				}
				said := "not paused, and not refused by the API: there was nothing to do"
				switch {
				case lane.Away():
					said = "it " + lane.AwayNote() + "; one call tries it again now, and the others follow when the API is back"
				case lane.Trip != nil:
					said = "the API refused it (" + humanize.Sanitize(lane.Trip.Code) + "); one call tries it again now, and the others follow when it is let in"
				case lane.Pause != nil:
					said = "resumed"
				}
				return said, cmdutil.Operator(a, f).Resume(ctx, account)
			})
		},
	}
	cmdutil.AddSettings(cmd, config.Client)
	return cmd
}

// NewLimit makes the command limit.
func NewLimit(f *cmdutil.Factory) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "limit ACCOUNT RATE|off",
		Short: "Change an account's rate while its workers run",
		Long: `limit sets how many creates an account may make, in the place of CAMSQ_RATE and
for every worker, within a second, until it is set anew: 8/s, 30/m, 500/h, or 8
for 8/s. With off the configured rate holds again. When the API throttles,
workers go below it by themselves.

Exit codes: 0 it holds; 2 wrong usage, or there is no such account; 3 Redis did
not answer.`,
		Example: `  camsq limit emea 8/s
  camsq limit emea off`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return exit.Usagef("limit takes an account and a rate, such as 8/s or off; see camsq limit --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			rate, err := parseLimit(args[1])
			if err != nil {
				return exit.Usagef("%w", err)
			}
			return eachLane(f, cmd, args[:1], func(ctx context.Context, a *app.App, account string) (string, error) {
				said := "the configured rate holds again"
				if rate > 0 {
					said = humanize.PerSecond(rate) + " at most across all workers, until changed; camsq limit " + account + " off takes it back"
				}
				return said, cmdutil.Operator(a, f).Limit(ctx, account, rate)
			})
		},
	}
	cmdutil.AddSettings(cmd, config.Client)
	return cmd
}

// eachLane does something to the lanes of accounts, which must all be there, and
// says what was done.
func eachLane(f *cmdutil.Factory, cmd *cobra.Command, names []string, do func(context.Context, *app.App, string) (string, error)) error {
	if len(names) == 0 {
		return exit.Usagef("%s needs an account; camsq status lists them", cmd.Name())
	}
	a, err := f.App(cmd)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx := cmd.Context()
	known, err := a.AccountNames(ctx)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return exit.Usagef("%s: there is no such account; there is %s", humanize.Sanitize(name), strings.Join(known, ", "))
		}
	}
	for _, name := range names {
		said, err := do(ctx, a, name)
		if err != nil && a.Skip(ctx, name, err) {
			continue
		}
		if err != nil {
			return a.RedisError(ctx, err)
		}
		fmt.Fprintf(f.Stdout, "%s: %s\n", name, said)
	}
	return a.Skipped(ctx)
}

// parseLimit reads a rate: creates a second, or a number for each s, m or h; off is 0.
func parseLimit(text string) (float64, error) {
	if text == "off" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	seconds, ok := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if rate := n / max(seconds, 1); ok && err == nil && rate >= config.MinRate && rate <= config.MaxRate {
		return rate, nil
	}
	return 0, fmt.Errorf("%q is no rate: want a number above 0 for each s, m or h, such as 8/s or 30/m, or off; at most %d/s", humanize.Sanitize(text), config.MaxRate)
}
