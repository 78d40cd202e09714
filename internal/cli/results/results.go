package results

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/spreadsheet"
	"github.com/camsq/camsq/internal/workdir"
	"github.com/camsq/camsq/tasks"
)

// New makes the command results.
func New(f *cmdutil.Factory) *cobra.Command {
	var o resultsOptions
	cmd := &cobra.Command{
		Use:   "results FILE",
		Short: "Write a file's rows with the outcome of each",
		Long: `results writes the rows of a file that was enqueued, in their order and with all
their columns, and adds: job, state, instance_id, code, message, request_id,
tries, finished_at, callback. finished_at is in UTC. state is one of

  created, failed, held, cancelled, queued, calling, uncertain
              as in camsq status --help
  rejected    the row was not queued; message says why
  conflict    its job ID stands for another request; the row was not queued
  unknown     no such job: the row was never enqueued, or its record has expired
  unreadable  a record exists, but this camsq or its data key cannot read it

It reads whatever enqueue reads; give it the same --map, --set and so on. The
name behind -o says what is written: CSV (.csv, .txt or no ending), a workbook
(.xlsx), or a line of JSON for each row, with the row as it was under "row"
(.jsonl, .ndjson). CSV begins with a UTF-8 BOM and has the separators of the
file that was read, so that Excel opens it right; a cell that begins with = + -
@, a tab or a line end gets an apostrophe in front, so that no spreadsheet takes
it for a formula. The cells of a workbook are texts and need none. With -o the
file is there once it is complete, and only its owner may read it.

Exit codes: 0 it was written, whatever the outcomes; 1 stopped with Ctrl-C; 2
wrong usage, or a file that cannot be understood (the rows before that place are
written); 3 Redis did not answer; 4 the results could not be written.`,
		Example: `  camsq results tenants.csv -o outcomes.csv
  camsq results customers.xlsx -o outcomes.xlsx --only failed,unfinished
  camsq results tenants.csv --only failed,rejected`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Usagef("results needs one file, the one that was enqueued, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return run(f, cmd, args[0], o) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.output, "output", "o", "", "`file` to write (default: standard output)")
	flags.StringSliceVar(&o.only, "only", nil, "`states` of the rows to write, separated by commas; unfinished stands for queued,calling,uncertain,held")
	cmdutil.AddReadFlags(&o.reading, flags)
	cmdutil.AddSettings(cmd, config.Client|config.Files)
	return cmd
}

type resultsOptions struct {
	output  string
	only    []string
	reading importer.ReadFlags
}

func run(f *cmdutil.Factory, cmd *cobra.Command, path string, o resultsOptions) error {
	wanted, err := wantedStates(o.only)
	if err != nil {
		return err
	}
	form, ok := spreadsheet.FormOf(o.output)
	if !ok {
		return exit.Usagef("-o %s: the name must end in .csv (or .txt), .xlsx or .jsonl (or .ndjson), which says what is written", o.output)
	}
	c, err := f.Config(cmd)
	if err != nil {
		return err
	}
	defer cmdutil.LimitMemory()()
	// The batch plays no part in what a row's job is.
	files, err := f.Inputs([]string{path}, "results", o.reading, c)
	if err != nil {
		return err
	}
	a, err := app.Open(c)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.Ready(cmd.Context(), f.Stderr); err != nil {
		return err
	}
	out, err := f.Dir.Create("the results", "-o", o.output, path, f.Stdout)
	if err != nil {
		return err
	}
	w := &resultsWriter{ledger: a.Ledger, to: out, wanted: wanted}
	w.out = spreadsheet.NewRowWriter(form, out, func() rune { return w.found.Delimiter })
	err = w.file(cmd.Context(), files[0], f.Stdin)
	_, ends := errors.AsType[*rowfile.FileError](err)
	switch {
	case errors.Is(err, context.Canceled):
		err = exit.With(exit.CodeSomeFailed, errors.New("stopped; the results are not complete"))
	case ends:
		err = exit.Usagef("%w", importer.WithFlag(err))
	}
	// The rows before a broken place are worth having; a file without any is not.
	if err != nil && !(ends && w.began) {
		out.Discard()
		return err
	}
	if endErr := w.out.Close(); endErr != nil {
		out.Discard()
		return out.Failure(endErr)
	}
	if saveErr := out.Save(); saveErr != nil {
		return out.Failure(saveErr)
	}
	if out.Temp != nil {
		fmt.Fprintf(f.Stdout, "%s of %s written to %s.\n", humanize.Plural(w.rows, "row"), humanize.Sanitize(files[0].Name), humanize.Sanitize(o.output))
	}
	if ends {
		return fmt.Errorf("%w; the rows before it are written", err)
	}
	return nil
}

// wantedStates reads --only. Nil means every row.
func wantedStates(only []string) (map[tasks.State]bool, error) {
	if len(only) == 0 {
		return nil, nil
	}
	wanted := map[tasks.State]bool{}
	for _, name := range only {
		s := tasks.State(strings.TrimSpace(name))
		switch {
		case s == "unfinished":
			for _, state := range tasks.States() {
				wanted[state] = wanted[state] || !state.Final()
			}
		case slices.Contains(inspect.RowStates(), s):
			wanted[s] = true
		default:
			return nil, exit.Usagef("--only: %q is not one of unfinished, %s", name, joinStates(inspect.RowStates()))
		}
	}
	return wanted, nil
}

func joinStates(states []tasks.State) string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// resultsWriter writes rows with their outcomes.
type resultsWriter struct {
	ledger inspect.RecordReader
	to     *workdir.Output
	out    spreadsheet.RowWriter // writes to it
	wanted map[tasks.State]bool
	found  rowfile.FileInfo
	began  bool
	rows   int64 // that were written
}

// resultPage is some rows in order, whose outcomes are looked up beside the
// reading of those after them.
type resultPage struct {
	rows     []rowfile.Row
	outcomes []outcome
	err      error
	done     chan struct{}
}

// pagesAhead is how many pages are looked up at once.
const pagesAhead = 4

// file goes through a file: one goroutine reads it, some look its jobs up, and the
// rows are written here, in their order. Its error may be the [*rowfile.FileError]
// that ended the file.
func (w *resultsWriter) file(ctx context.Context, s importer.Input, stdin io.Reader) error {
	ctx, stop := context.WithCancel(ctx) // which ends the reading too
	defer stop()
	in, err := s.Open(ctx, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	pages := make(chan *resultPage, pagesAhead)
	var ended error // of the reading; it may be looked at once pages is closed
	go func() {
		defer close(pages)
		ended = w.read(ctx, s, in, pages)
	}()
	defer func() {
		stop()
		for range pages { // the reader has let go of the file once this is over
		}
	}()
	for page := range pages {
		<-page.done
		if page.err != nil {
			return page.err
		}
		for i, r := range page.rows {
			if err := w.row(r, page.outcomes[i]); err != nil {
				return w.to.Failure(err)
			}
		}
		if err := w.out.Flush(); err != nil {
			return w.to.Failure(err)
		}
	}
	return ended
}

// read sends the rows of a file on in pages, each with a goroutine that looks its
// jobs up.
func (w *resultsWriter) read(ctx context.Context, s importer.Input, in io.Reader, pages chan<- *resultPage) error {
	page := &resultPage{done: make(chan struct{})}
	send := func() bool {
		go func(page *resultPage) {
			defer close(page.done)
			page.err = w.lookUp(ctx, page)
		}(page)
		select {
		case pages <- page:
		case <-ctx.Done():
			return false
		}
		page = &resultPage{done: make(chan struct{})}
		return true
	}
	for row, err := range s.Rows(in, w.once) {
		if _, ends := errors.AsType[*rowfile.FileError](err); ends {
			send()
			return cmp.Or(ctx.Err(), err)
		}
		page.rows = append(page.rows, row)
		page.outcomes = append(page.outcomes, rejection(err))
		if len(page.rows) == inspect.PageSize && !send() {
			return ctx.Err()
		}
	}
	send()
	return ctx.Err()
}

// once keeps what the file was found to be when its header was read: later the rows
// are being written, and it must not change.
func (w *resultsWriter) once(f rowfile.FileInfo) {
	if w.found.Format == "" {
		w.found = f
	}
}

// rejection is the outcome of a row that is no job.
func rejection(err error) outcome {
	o := outcome{state: inspect.RowRejected}
	if bad, ok := errors.AsType[*rowfile.RowError](err); ok {
		o.message = (&rowfile.RowError{Line: bad.Line, Problems: bad.Problems}).Error()
	}
	return o
}

// lookUp finds the outcomes of a page's jobs, account by account.
func (w *resultsWriter) lookUp(ctx context.Context, page *resultPage) error {
	ids, at := map[string][]string{}, map[string][]int{}
	for i, r := range page.rows {
		if account := r.Job.Account; account != "" { // a job that is valid has one
			ids[account], at[account] = append(ids[account], r.Job.ID), append(at[account], i)
		}
	}
	for account, list := range ids {
		found, err := w.ledger.GetMany(ctx, account, list)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return exit.Unreachablef("Redis stopped answering; the results are not complete: %w", err)
		}
		for n, i := range at[account] {
			page.outcomes[i] = outcomeOf(page.rows[i].Job, found[n])
		}
	}
	return nil
}

// outcome is what is added to a row.
type outcome struct {
	job                                string
	state                              tasks.State
	instance, code, message, requestID string
	tries, finishedAt                  string
	callback                           tasks.CallbackState
}

func outcomeColumns() []string {
	return []string{"job", "state", "instance_id", "code", "message", "request_id", "tries", "finished_at", "callback"}
}

func (o outcome) cells() []string {
	return []string{o.job, string(o.state), o.instance, o.code, o.message, o.requestID, o.tries, o.finishedAt, string(o.callback)}
}

func outcomeOf(job tasks.Job, f tasks.Lookup) outcome {
	o := outcome{job: job.Ref().String(), state: inspect.StateOf(f)}
	r := f.Record
	switch {
	case f.Err != nil:
		return o
	case !r.SameRequest(job):
		o.state = inspect.RowConflict
		o.message = "job " + o.job + " is there (" + string(r.State) + ") with another request"
		return o
	}
	o.code, o.message, o.requestID = r.Code, r.Message, r.RequestID
	o.tries, o.callback = strconv.Itoa(r.Tries), r.Callback.State
	if r.Instance != nil {
		o.instance = r.Instance.InstanceID
	}
	if r.State.Final() {
		o.finishedAt = r.Since.UTC().Format(time.RFC3339)
	}
	return o
}

func (w *resultsWriter) row(r rowfile.Row, o outcome) error {
	if !w.began {
		w.began = true
		if err := w.out.Header(r.Header, outcomeColumns()); err != nil {
			return err
		}
	}
	if w.wanted != nil && !w.wanted[o.state] {
		return nil
	}
	// A bad row may have fewer cells than the header, or more; the outcome stays
	// under its own columns.
	cells := make([]string, len(r.Header))
	copy(cells, r.Cells)
	w.rows++
	return w.out.Row(cells, o.cells())
}
