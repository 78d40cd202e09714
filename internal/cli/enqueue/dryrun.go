package enqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
)

// dryRun is a dry run: everything but the sending.
func dryRun(ctx context.Context, f *cmdutil.Factory, files []importer.Input, o enqueueOptions, c config.Config, n *notices) error {
	h := &importer.DryRun{Index: importer.NewIndex(0)}
	queued := "valid"
	a, without, err := app.OpenForDryRun(ctx, c)
	if err != nil {
		return err
	}
	if a != nil {
		defer a.Close()
		h.Lookup, queued = a.Client.Lookup, "valid and new"
	}
	in := importer.New(f.Stdin, h.CreateAll)
	in.Index, in.Digest, in.Rejected, in.Notify = h.Index, importer.RequestDigest, o.rejected, n.print
	lanes, rejected := map[string]int64{}, false
	for _, s := range files {
		got, err := in.Import(ctx, s)
		if got.Rows > 0 {
			printReport(f.Stdout, got, queued, true)
			fmt.Fprintln(f.Stdout)
		}
		if err != nil {
			return dryRunError(err, s, c)
		}
		for account, n := range got.Lanes {
			lanes[account] += n
		}
		rejected = rejected || got.AnyRejected()
	}
	fmt.Fprintln(f.Stdout, estimate(lanes, c))
	fmt.Fprintln(f.Stdout, "Nothing was sent.")
	if a == nil {
		fmt.Fprintf(f.Stdout, "Existing jobs were not looked up (none is created twice): %s\n", without)
	}
	if rejected {
		return exit.ErrSomeFailed
	}
	return nil
}

// dryRunError words an error in the middle of a dry run.
func dryRunError(err error, s importer.Input, c config.Config) error {
	if errors.Is(err, context.Canceled) {
		return exit.With(exit.CodeSomeFailed, fmt.Errorf("stopped in %s; nothing was sent", s.Name))
	}
	if _, ends := errors.AsType[*rowfile.FileError](err); ends {
		return exit.Usagef("%w", importer.WithFlag(err))
	}
	if _, final := errors.AsType[*exit.Error](err); final {
		return err
	}
	return exit.Unreachablef("Redis at %s stopped answering while %s was compared with what is there; nothing was sent: %w", c.RedisHost(), s.Name, err)
}

// estimate says how long the creates of new jobs take at best.
func estimate(lanes map[string]int64, c config.Config) string {
	var longest time.Duration
	var slowest config.Account
	for _, a := range c.Accounts {
		if took := time.Duration(float64(lanes[a.Name]) / a.Rate * float64(time.Second)); took > longest {
			longest, slowest = took, a
		}
	}
	if longest == 0 {
		return "There is nothing to create."
	}
	text := fmt.Sprintf("At %g a second for account %s, %s need ", slowest.Rate, slowest.Name, humanize.Plural(lanes[slowest.Name], "create"))
	if lanes[slowest.Name] == 1 {
		text = strings.TrimSuffix(text, "need ") + "needs "
	}
	if longest >= time.Second {
		text += "at least "
	}
	text += humanize.Duration(longest)
	if len(lanes) > 1 {
		text += "; the other accounts are done before"
	}
	return text + "."
}
