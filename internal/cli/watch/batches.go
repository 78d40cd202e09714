package watch

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// PrintBatches shows the batches of one name: the counts, then what is to be said of
// each, then why jobs failed.
func PrintBatches(w io.Writer, batches []inspect.BatchStatus) {
	rows := [][]string{StateColumns("BATCH", "ACCOUNT")}
	for _, b := range batches {
		rows = append(rows, StateCells(b.Jobs, humanize.Sanitize(b.Batch), b.Account))
	}
	render.PrintTable(w, 2, rows)
	fmt.Fprintln(w)
	for _, b := range batches {
		for _, note := range batchNotes(b) {
			fmt.Fprintf(w, "%s: %s\n", b.Account, note)
		}
	}
	rows = [][]string{{"WHY JOBS FAILED", "ACCOUNT", "JOBS"}}
	for _, b := range batches {
		for _, c := range tasks.TopCodes(b.Codes, topCodes) {
			rows = append(rows, []string{humanize.Sanitize(c.Code), b.Account, humanize.Group(c.Jobs)})
		}
	}
	if len(rows) > 1 {
		fmt.Fprintln(w)
		render.PrintTable(w, 2, rows)
	}
}

// batchNotes are what an operator should know about the batch beside the numbers.
func batchNotes(b inspect.BatchStatus) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	open, held := inspect.OpenJobs(b.Jobs), b.Jobs[tasks.StateHeld]
	switch {
	case !b.CompletedAt.IsZero():
		again := ""
		if b.Completions > 1 {
			again = fmt.Sprintf(", completion %d", b.Completions)
		}
		add("completed %s%s; %s", humanize.Timestamp(b.CompletedAt, b.Now), again, callbackText(b))
	case b.ClosedAt.IsZero():
		add("not closed: its producer may send more; %s", closing(b))
	default:
		add("closed %s (all rows sent)", humanize.Timestamp(b.ClosedAt, b.Now))
	}
	if b.CompletedAt.IsZero() && b.Completions > 0 {
		add("open again after completion %d; %s", b.Completions, callbackText(b))
	}
	if open > 0 {
		add("%s to go%s", humanize.Plural(open, "job"), b.Forecast.Describe(b.Jobs))
		for _, reason := range b.Forecast.BlockReasons() {
			add("%s", reason)
		}
	}
	if held > 0 {
		add("%s held until an operator decides, and not completed before: camsq held --batch %s", humanize.Plural(held, "job"), humanize.ShellQuote(b.Batch))
	}
	return out
}

// closing says what the same file would do to a batch that is not closed.
func closing(b inspect.BatchStatus) string {
	if n := b.Jobs[tasks.StateCancelled]; n > 0 {
		return fmt.Sprintf("%s cancelled, but the same file again would queue its rows that were never sent, and close it", humanize.Counted(n, "job", "was", "were"))
	}
	return "the same file again closes it"
}

// callbackText says how far the callback of the last completion got.
func callbackText(b inspect.BatchStatus) string {
	if b.Callback == nil {
		return "whether that was reported is no longer known"
	}
	if b.Callback.State == tasks.CallbackNone {
		return "no webhook, since the account has no receiver"
	}
	return "callback " + b.Callback.String()
}

// WaitForBatches follows the batches of these names until no job of them changes by itself,
// and prints them. next is what it prints if it has to stop before.
func WaitForBatches(ctx context.Context, f *cmdutil.Factory, a *app.App, names []string, asJSON bool, next string) error {
	c := &batchSource{ledger: a.Ledger, moved: time.Now()}
	for _, name := range names {
		batches, err := a.BatchesOf(ctx, name)
		if err != nil {
			return a.RedisError(ctx, err)
		}
		c.batches = append(c.batches, batches...)
	}
	follower := New(f, a, c)
	start := time.Now()
	err := follower.Follow(ctx)
	follower.Progress.Close()
	if err != nil {
		return Stopped(f, a, err, time.Since(start), inspect.Total(c.Counts()), next)
	}
	var all []inspect.BatchStatus
	well := true
	for _, b := range c.batches {
		s, err := a.BatchStatus(ctx, b)
		if err != nil {
			return a.RedisError(ctx, err)
		}
		all = append(all, s)
		well = well && s.Jobs[tasks.StateCreated] == s.Jobs.Sum()
	}
	if asJSON {
		if err := render.PrintJSON(f.Stdout, map[string]any{"jobs": []inspect.JobStatus{}, "batches": all}); err != nil {
			return err
		}
	} else {
		PrintBatches(f.Stdout, all)
	}
	if !well {
		return exit.ErrSomeFailed
	}
	return nil
}

// StateColumns are the headings of a table with a column for each state.
func StateColumns(first ...string) []string {
	for _, s := range tasks.States() {
		first = append(first, strings.ToUpper(string(s)))
	}
	return first
}

// StateCells are the cells of such a table's row.
func StateCells(jobs inspect.StateCounts, first ...string) []string {
	for _, s := range tasks.States() {
		first = append(first, humanize.Group(jobs[s]))
	}
	return first
}
