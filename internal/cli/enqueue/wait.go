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

// Imported is what files have put into the queue.
type Imported struct {
	Jobs    []importer.Accepted
	Files   []importer.Input
	Batches []string // those of the files that exist
	// Next are lines with the commands that show the outcomes.
	Next string
}

// Wait follows imported jobs to their end, and prints how they ended.
func Wait(ctx context.Context, f *cmdutil.Factory, a *app.App, o Imported) error {
	next := "The jobs go on. To follow them again, send the same file again.\n\n" + o.Next
	if len(o.Jobs) > inspect.MaxFollowed && len(o.Batches) == 0 {
		return exit.Usagef("--wait follows more than %s jobs by their batch, and these were sent before under another one; follow that: camsq status --wait BATCH", humanize.Group(inspect.MaxFollowed))
	}
	if len(o.Jobs) > inspect.MaxFollowed {
		fmt.Fprintf(f.Stderr, "More than %s jobs: their batches are followed, with all that they hold.\n", humanize.Group(inspect.MaxFollowed))
		return watch.WaitForBatches(ctx, f, a, o.Batches, false, next)
	}
	c := watch.NewJobSource(a.Ledger, o.Jobs)
	follower := watch.New(f, a, c)
	start := time.Now()
	err := follower.Follow(ctx)
	var end watch.Ending
	if err == nil {
		end, err = c.Ending(ctx, follower.Retry)
	}
	follower.Progress.Close()
	if err != nil {
		return watch.Stopped(f, a, err, time.Since(start), inspect.Total(c.Counts()), next)
	}
	end.Print(f.Stdout, time.Since(start), o.Files)
	if end.Count[tasks.StateCreated] != end.Count.Sum() {
		return exit.ErrSomeFailed
	}
	return nil
}
