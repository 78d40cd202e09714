package enqueue

import (
	"fmt"
	"io"
	"strings"

	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/tasks"
)

// maxListed is how many rows of a file are listed one by one; more would hide the lines
// after them.
const maxListed = 20

// notices prints what an import has to say while it runs.
type notices struct {
	w    io.Writer
	all  bool // list every row
	file string
	rows map[importer.NoticeKind]int // of this file
	// notWritten reports that a file of rejected rows could not be written.
	notWritten bool
}

// failure returns the error that the command ends with: a file that could not be written
// is worse than some rows that were rejected.
func (n *notices) failure(err error) error {
	if n.notWritten && (err == nil || err == exit.ErrSomeFailed) {
		return exit.ErrNotWritten
	}
	return err
}

func (n *notices) print(notice importer.Notice) {
	if n.file != notice.File || n.rows == nil {
		n.file, n.rows = notice.File, map[importer.NoticeKind]int{}
	}
	n.rows[notice.Kind]++
	n.notWritten = n.notWritten || notice.Kind == importer.NoticeNotSaved
	switch count := n.rows[notice.Kind]; {
	case n.all || count <= maxListed:
		fmt.Fprintln(n.w, notice.Text)
	case count == maxListed+1 && notice.Kind == importer.NoticeRepeated:
		fmt.Fprintln(n.w, "… more rows that are the same as an earlier one; --list-all lists all of them")
	case count == maxListed+1:
		fmt.Fprintln(n.w, "… more rejected rows; --list-all lists all of them")
	}
}

// printReport prints what became of a file's rows. queued says what became of the new ones;
// reasons prints why rows are invalid even if each of them is listed.
func printReport(w io.Writer, r *importer.Report, queued string, reasons bool) {
	fmt.Fprint(w, humanize.Sanitize(r.Name))
	if r.Found.Format != "" {
		fmt.Fprintf(w, " (%s)", humanize.Sanitize(r.Found.Format))
	}
	fmt.Fprintf(w, ", batch %s\n", humanize.Sanitize(r.Batch))
	if len(r.Found.Ignored) > 0 {
		fmt.Fprintf(w, "  ignored columns: %s\n", humanize.Sanitize(strings.Join(r.Found.Ignored, ", ")))
	}
	lines := []render.CountLine{render.Count(r.Rows, "rows"), render.Count(r.Queued, queued)}
	if r.Rows == 1 {
		lines[0] = render.Count(1, "row")
	}
	for _, s := range tasks.States() {
		lines = append(lines, render.Count(r.Known[s], already(s)))
	}
	render.PrintCounts(w, append(lines,
		render.Count(r.Repeated, "same as an earlier row (noted above)"),
		render.Count(r.Conflicts, "rejected: the job ID exists with another request (listed above)"),
		render.Count(r.Unreadable, "rejected: the job exists and cannot be read (listed above)"),
		render.Count(r.Invalid, "rejected: invalid (listed above)"),
	))
	if r.Invalid > 0 && (reasons || r.Invalid > maxListed) {
		printReasons(w, r.Reasons.Sorted())
	}
	if r.RejectedFile != "" {
		fmt.Fprintf(w, "  The rejected rows are in %s, with reasons.\n  Correct them there and run: camsq enqueue %s\n", humanize.Sanitize(r.RejectedFile), r.RetryArgs())
	}
	if r.Unreadable > 0 {
		fmt.Fprint(w, "  Rows whose job cannot be read need no correction. Send them again, with the same job\n"+
			"  IDs, when a camsq runs here that can read the job, with the data key of that time.\n")
	}
	if r.KeptFile != "" {
		fmt.Fprintf(w, "  The earlier file of that name is now %s.\n", humanize.Sanitize(r.KeptFile))
	}
}

func printReasons(w io.Writer, reasons []importer.Reason) {
	width := 0
	for _, r := range reasons {
		width = max(width, len(humanize.Group(r.Rows)))
	}
	fmt.Fprintln(w, "  Invalid rows by reason, and the first line of each:")
	for _, r := range reasons {
		fmt.Fprintf(w, "    %*s  line %d: %s\n", width, humanize.Group(r.Rows), r.First.Line, humanize.Sanitize(r.Text))
	}
}

// already says in which state a job is that existed before.
func already(s tasks.State) string {
	switch s {
	case tasks.StateCalling:
		return "already being created"
	case tasks.StateUncertain:
		return "already sent; the outcome is uncertain and is being looked up"
	case tasks.StateHeld:
		return "already held for an operator to decide"
	case tasks.StateFailed:
		return "already failed; not tried again automatically (camsq retry)"
	case tasks.StateCancelled:
		return "already cancelled; give such a row a new job_id to queue it again"
	case tasks.StateQueued, tasks.StateCreated:
	}
	return "already " + string(s)
}
