package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/cli/watch"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

func printOverview(w io.Writer, all []inspect.AccountStatus) {
	rows := [][]string{watch.StateColumns("ACCOUNT")}
	var notes []string
	batches := [][]string{watch.StateColumns("LAST BATCHES", "ACCOUNT")}
	for _, a := range all {
		rows = append(rows, watch.StateCells(a.Jobs, a.Account))
		notes = append(notes, accountNotes(a)...)
		for _, b := range a.Batches {
			batches = append(batches, watch.StateCells(b.Jobs, humanize.Sanitize(b.Batch), b.Account))
		}
	}
	render.PrintTable(w, 1, rows)
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range notes {
		fmt.Fprintln(w, note)
	}
	if len(batches) > 1 {
		fmt.Fprintln(w)
		render.PrintTable(w, 2, batches)
	}
}

// accountNotes are what an operator should know beside the numbers.
func accountNotes(a inspect.AccountStatus) []string {
	age := func(seconds int64) string { return humanize.Duration(time.Duration(seconds) * time.Second) }
	var out []string
	add := func(format string, args ...any) { out = append(out, a.Account+": "+fmt.Sprintf(format, args...)) }
	if !a.Configured {
		add("not configured here; its jobs wait for a worker that knows the account")
	}
	for _, note := range a.Facts.Notes() {
		add("%s", note)
	}
	if a.Jobs[tasks.StateQueued] > 0 {
		add("oldest queued job: %s", age(a.OldestSeconds[tasks.StateQueued]))
	}
	if n := a.Jobs[tasks.StateUncertain]; n > 0 {
		add("%s uncertain, the oldest for %s; their outcomes are being looked up", humanize.Plural(n, "job"), age(a.OldestSeconds[tasks.StateUncertain]))
	}
	if n := a.Jobs[tasks.StateHeld]; n > 0 {
		add("%s held until an operator decides, the oldest for %s: camsq held", humanize.Plural(n, "job"), age(a.OldestSeconds[tasks.StateHeld]))
	}
	if n := a.Callbacks.Owed; n > 0 {
		add("%s still owed, the oldest for %s", humanize.Plural(n, "callback"), age(a.Callbacks.OldestOwedSeconds))
	}
	if n := a.Callbacks.Dead; n > 0 {
		add("%s given up after every try failed: camsq failed --callbacks", humanize.Plural(n, "callback"))
	}
	return out
}

func printJob(s inspect.JobStatus, w io.Writer) {
	fmt.Fprintf(w, "Job %s\n", s.Job)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-11s %s\n", name, humanize.Sanitize(value))
		}
	}
	line("state", string(s.State))
	if s.State == inspect.RowUnreadable {
		line("reason", s.Message)
	} else {
		line("since", humanize.Timestamp(s.Since, s.Now))
		line("accepted", humanize.Timestamp(s.EnqueuedAt, s.Now))
		line("batch", s.Batch)
		line("priority", string(s.Priority))
		line("asked for", s.ChannelType+" "+s.InstanceName)
		line("instance", instanceOf(s))
		line("candidates", strings.Join(s.Candidates, ", "))
		line("tries", fmt.Sprint(s.Tries))
		line("answer", strings.TrimSuffix(s.Code+": "+s.Message, ": "))
		line("request ID", s.RequestID)
		line("callback", s.Callback.String())
	}
	fmt.Fprintf(w, "\n%s\n", humanize.Sanitize(s.Next))
}

func instanceOf(s inspect.JobStatus) string {
	if s.Adopted {
		return s.InstanceID + " (found by a lookup)"
	}
	return s.InstanceID
}
