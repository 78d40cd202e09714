package enqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/cli/watch"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// Wait follows what files have put into the queue to its end, and tells how it ended.
// there are the batches of the files that exist; hints says how to go on.
func Wait(ctx context.Context, p *cmdutil.Factory, a *app.App, jobs []importer.Accepted, files []importer.Input, there []string, hints func()) error {
	stopped := func() {
		fmt.Fprint(p.Stdout, "The jobs go on. To follow them again, send the same file again.\n\n")
		hints()
	}
	if len(jobs) > inspect.MaxFollowed && len(there) == 0 {
		return exit.Usagef("--wait follows more than %s jobs by their batch, and these were sent before under another one; follow that: camsq status --wait BATCH", humanize.Group(inspect.MaxFollowed))
	}
	if len(jobs) > inspect.MaxFollowed {
		fmt.Fprintf(p.Stderr, "More than %s jobs: their batches are followed, with all that they hold.\n", humanize.Group(inspect.MaxFollowed))
		return watch.WaitForBatches(ctx, p, a, there, false, stopped)
	}
	c := watch.NewJobSource(a.Ledger, jobs)
	f := watch.New(p, a, c)
	begin := time.Now()
	err := f.Follow(ctx)
	var end watch.Ending
	if err == nil {
		end, err = c.Ending(ctx, f.Retry)
	}
	f.Progress.Close()
	if err != nil {
		return watch.Stopped(p, a, err, time.Since(begin), inspect.Total(c.Counts()), stopped)
	}
	end.Print(p.Stdout, time.Since(begin), files)
	if end.Count[tasks.StateCreated] != end.Count.Sum() {
		return exit.ErrSomeFailed
	}
	return nil
}
