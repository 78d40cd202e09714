package watch

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// JobSource follows jobs by their records.
type JobSource struct {
	ledger inspect.RecordReader
	jobs   []importer.Accepted
	open   []*importer.Accepted
	lanes  map[string]inspect.StateCounts
}

// NewJobSource follows jobs by their records.
func NewJobSource(l inspect.RecordReader, jobs []importer.Accepted) *JobSource {
	c := &JobSource{ledger: l, jobs: jobs, lanes: map[string]inspect.StateCounts{}}
	for i := range jobs {
		j := &c.jobs[i]
		if c.lanes[j.Ref.Account] == nil {
			c.lanes[j.Ref.Account] = inspect.StateCounts{}
		}
		c.lanes[j.Ref.Account][j.State]++
		if !inspect.Terminal(j.State) {
			c.open = append(c.open, j)
		}
	}
	return c
}

// Counts counts the jobs by account and state.
func (c *JobSource) Counts() map[string]inspect.StateCounts { return c.lanes }

// Terminal reports whether no job changes by itself any more.
func (c *JobSource) Terminal() bool { return len(c.open) == 0 }

// Poll reads the records of some open jobs.
func (c *JobSource) Poll(ctx context.Context, ask retryFunc) error {
	window := c.open[:min(len(c.open), inspect.WindowSize)]
	c.open = c.open[len(window):]
	return c.read(ctx, ask, window, func(j *importer.Accepted, found tasks.Lookup) {
		if s := inspect.StateOf(found); s != j.State {
			c.lanes[j.Ref.Account][j.State]--
			c.lanes[j.Ref.Account][s]++
			j.State = s
		}
		if !inspect.Terminal(j.State) {
			c.open = append(c.open, j)
		}
	})
}

// read reads the records of jobs, in pages of one account each.
func (c *JobSource) read(ctx context.Context, ask retryFunc, jobs []*importer.Accepted, each func(*importer.Accepted, tasks.Lookup)) error {
	var accounts []string
	lanes := map[string][]*importer.Accepted{}
	for _, j := range jobs {
		if lanes[j.Ref.Account] == nil {
			accounts = append(accounts, j.Ref.Account)
		}
		lanes[j.Ref.Account] = append(lanes[j.Ref.Account], j)
	}
	for _, account := range accounts {
		for lane := lanes[account]; len(lane) > 0; {
			page := lane[:min(len(lane), inspect.PageSize)]
			lane = lane[len(page):]
			ids := make([]string, len(page))
			for i, j := range page {
				ids[i] = j.Ref.ID
			}
			var found []tasks.Lookup
			err := ask(ctx, func(ctx context.Context) (err error) {
				found, err = c.ledger.GetMany(ctx, account, ids)
				return err
			})
			if err != nil {
				return err
			}
			for i, j := range page {
				each(j, found[i])
			}
		}
	}
	return nil
}

// Ending is how the jobs ended.
type Ending struct {
	Count     inspect.StateCounts
	codes     map[string]int64
	callbacks map[tasks.CallbackState]int64
	// without are the first jobs that have no instance.
	without []without
}

type without struct {
	importer.Accepted
	code, message string
}

// Ending reads every record once more: what a job ended with, and how far its
// callback is by now.
func (c *JobSource) Ending(ctx context.Context, ask retryFunc) (Ending, error) {
	end := Ending{Count: inspect.StateCounts{}, codes: map[string]int64{}, callbacks: map[tasks.CallbackState]int64{}}
	for start := 0; start < len(c.jobs); start += inspect.WindowSize {
		var window []*importer.Accepted
		for i := start; i < min(start+inspect.WindowSize, len(c.jobs)); i++ {
			window = append(window, &c.jobs[i])
		}
		err := c.read(ctx, ask, window, func(j *importer.Accepted, found tasks.Lookup) {
			j.State = inspect.StateOf(found)
			end.Count[j.State]++
			end.callbacks[found.Record.Callback.State]++
			if j.State == tasks.StateFailed {
				end.codes[found.Record.Code]++
			}
			if j.State != tasks.StateCreated && len(end.without) < inspect.MaxShown {
				end.without = append(end.without, without{*j, found.Record.Code, found.Record.Message})
			}
		})
		if err != nil {
			return Ending{}, err
		}
	}
	return end, nil
}

// Print prints how the jobs ended.
func (e Ending) Print(w io.Writer, took time.Duration, files []importer.Input) {
	fmt.Fprintf(w, "%s, followed for %s\n", humanize.Plural(e.Count.Sum(), "job"), humanize.Duration(took))
	var lines []render.CountLine
	for _, s := range inspect.RowStates() {
		lines = append(lines, render.Count(e.Count[s], ended(s)))
	}
	render.PrintCounts(w, lines)
	printCodes(w, e.codes)
	e.printWithout(w, files)
	if text := e.callbacksText(); text != "" {
		fmt.Fprintf(w, "\nCallbacks: %s\n", text)
	}
}

// topCodes is how many codes of failed jobs are printed.
const topCodes = 10

// printCodes prints why jobs failed, the most frequent reason first.
func printCodes(w io.Writer, codes map[string]int64) {
	var lines []render.CountLine
	for _, c := range tasks.TopCodes(codes, topCodes) {
		lines = append(lines, render.Count(c.Jobs, humanize.Sanitize(c.Code)))
	}
	if len(lines) > 0 {
		fmt.Fprint(w, "\nWhy jobs failed\n")
		render.PrintCounts(w, lines)
	}
}

// ended says where a job stands after it was followed.
func ended(s tasks.State) string {
	switch s {
	case tasks.StateHeld:
		return "held: an operator must decide (camsq held)"
	case inspect.RowUnknown:
		return "unknown: Redis has no record of them any more"
	case inspect.RowUnreadable:
		return "unreadable: their records are damaged, or sealed with another data key"
	}
	return string(s)
}

func (e Ending) printWithout(w io.Writer, files []importer.Input) {
	if len(e.without) == 0 {
		return
	}
	fmt.Fprint(w, "\nWithout an instance\n")
	for _, j := range e.without {
		fmt.Fprintf(w, "  %s: %s, job %s\n", j.At, j.State, j.Ref)
		if why := strings.TrimSuffix(humanize.Sanitize(j.code)+": "+humanize.Sanitize(j.message), ": "); why != "" {
			fmt.Fprintf(w, "      %s\n", why)
		}
	}
	if more := e.Count.Sum() - e.Count[tasks.StateCreated] - int64(len(e.without)); more > 0 {
		fmt.Fprintf(w, "  and %s more; all of them:\n", humanize.Group(more))
		for _, s := range files {
			if s.Path != importer.StandardInput {
				fmt.Fprintln(w, "    camsq results --only failed,held,cancelled", s.ResultArgs())
			}
		}
	}
}

func (e Ending) callbacksText() string {
	names := map[tasks.CallbackState]string{
		tasks.CallbackDelivered: "delivered",
		tasks.CallbackOwed:      "still owed",
		tasks.CallbackDead:      "given up",
		tasks.CallbackGone:      "no longer wanted by the receiver",
	}
	text := ""
	for _, s := range []tasks.CallbackState{tasks.CallbackDelivered, tasks.CallbackOwed, tasks.CallbackDead, tasks.CallbackGone} {
		if e.callbacks[s] == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += humanize.Group(e.callbacks[s]) + " " + names[s]
	}
	return text
}
