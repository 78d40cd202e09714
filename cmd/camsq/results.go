package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

func (p *program) resultsCommand() *cobra.Command {
	var o resultsOptions
	cmd := &cobra.Command{
		Use:   "results FILE",
		Short: "Write a file's rows again, each with its outcome",
		Long: `results writes the rows of a CSV file that was enqueued, in their order and with all their
columns, and adds: job, state, instance_id, code, message, request_id, tries, finished_at, callback.
finished_at is in UTC. state is one of

  created, failed, held, cancelled, queued, calling, uncertain   as in camsq status --help
  rejected    the row is bad and was not queued; message says why
  conflict    its job ID stands for another request; the row was not queued
  unknown     there is no such job: the row was never enqueued, or ended longer ago than records are kept
  unreadable  there is a record, and this camsq or its data key cannot read it

The file begins with a UTF-8 mark, so that Excel reads it right. A cell that begins with
= + - @ or a tab gets an apostrophe in front, so that no spreadsheet takes it for a formula.
With -o the file is there once it is complete, and only its owner may read it.

Exit codes: 0 it was written, whatever the outcomes; 1 stopped with Ctrl-C; 2 wrong usage, or a
file that cannot be understood (the rows before that place are written); 3 Redis did not answer.`,
		Example: `  camsq results tenants.csv -o outcomes.csv
  camsq results tenants.csv --only failed,rejected`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("results needs one file, the one that was enqueued, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.results(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "`file` to write (default: standard output)")
	f.StringSliceVar(&o.only, "only", nil, "`states` of the rows to write, separated by commas; unfinished stands for queued,calling,uncertain,held")
	f.StringVar(&o.account, "account", "", "`name` of the account of rows that name none, as it was for enqueue")
	return cmd
}

type resultsOptions struct {
	output, account string
	only            []string
}

func (p *program) results(cmd *cobra.Command, path string, o resultsOptions) error {
	wanted, err := wantedStates(o.only)
	if err != nil {
		return err
	}
	c, err := p.load(cmd)
	if err != nil {
		return err
	}
	// The batch plays no part in what a row's job is.
	files, err := sources([]string{path}, "results", o.account, c)
	if err != nil {
		return err
	}
	n, err := newNode(c)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.reach(cmd.Context()); err != nil {
		return err
	}
	out, err := openOutput(o.output, path, p.stdout)
	if err != nil {
		return err
	}
	w := &resultsWriter{ledger: n.ledger, csv: csv.NewWriter(out), raw: out, wanted: wanted}
	err = w.file(cmd.Context(), files[0], p.stdin)
	_, ends := errors.AsType[*enqueue.FileError](err)
	switch {
	case errors.Is(err, context.Canceled):
		err = &exitError{exitSomeFailed, errors.New("stopped; the results are not complete")}
	case ends:
		err = usage("%w", err)
	}
	// The rows before a broken place are worth having; a file without any is not.
	if err != nil && !(ends && w.began) {
		out.discard()
		return err
	}
	if saveErr := out.save(); saveErr != nil {
		return usage("writing the results: %w", saveErr)
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
		case slices.Contains(standings(), s):
			wanted[s] = true
		default:
			return nil, usage("--only: %q is not one of unfinished, %s", name, joinStates(standings()))
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
	ledger records
	csv    *csv.Writer
	raw    io.Writer
	wanted map[tasks.State]bool
	began  bool
}

type inputRow struct {
	enqueue.Row
	err error
}

// file goes through a file in pages.
func (w *resultsWriter) file(ctx context.Context, s source, stdin io.Reader) error {
	in, err := s.open(ctx, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	var page []inputRow
	for row, err := range s.rows(in) {
		if _, ends := errors.AsType[*enqueue.FileError](err); ends {
			if pageErr := w.page(ctx, page); pageErr != nil {
				return pageErr
			}
			return err
		}
		if page = append(page, inputRow{row, err}); len(page) < pageSize {
			continue
		}
		if err := w.page(ctx, page); err != nil {
			return err
		}
		page = page[:0]
	}
	return w.page(ctx, page)
}

// page looks up the jobs of some rows, account by account, and writes the rows.
func (w *resultsWriter) page(ctx context.Context, rows []inputRow) error {
	ids := map[string][]string{}
	for _, r := range rows {
		if r.err == nil {
			ids[r.Job.Account] = append(ids[r.Job.Account], r.Job.ID)
		}
	}
	found := map[string][]ledger.Found{}
	for account, list := range ids {
		var err error
		if found[account], err = w.ledger.GetMany(ctx, account, list); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return unreachable("Redis stopped answering; the results are not complete: %w", err)
		}
	}
	for _, r := range rows {
		o := outcome{state: rowRejected}
		if r.err == nil {
			account := r.Job.Account
			o = outcomeOf(r.Job, found[account][0])
			found[account] = found[account][1:]
		} else if bad, ok := errors.AsType[*enqueue.RowError](r.err); ok {
			o.message = (&enqueue.RowError{Line: bad.Line, Problems: bad.Problems}).Error()
		}
		if err := w.row(r.Row, o); err != nil {
			return err
		}
	}
	w.csv.Flush()
	return writeError(w.csv.Error())
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

func outcomeOf(job tasks.Job, f ledger.Found) outcome {
	o := outcome{job: job.Ref().String(), state: standing(f)}
	r := f.Record
	switch {
	case f.Err != nil:
		return o
	case !ledger.SameRequest(r, job):
		o.state = rowConflict
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

func (w *resultsWriter) row(r enqueue.Row, o outcome) error {
	if !w.began {
		w.began = true
		if _, err := io.WriteString(w.raw, "\ufeff"); err != nil {
			return writeError(err)
		}
		if err := w.write(slices.Concat(r.Header, outcomeColumns())); err != nil {
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
	return w.write(append(cells, o.cells()...))
}

func (w *resultsWriter) write(cells []string) error {
	for i, c := range cells {
		cells[i] = noFormula(c)
	}
	return writeError(w.csv.Write(cells))
}

func writeError(err error) error {
	if err != nil {
		return usage("writing the results: %w", err)
	}
	return nil
}

// noFormula keeps a spreadsheet from running what a customer typed (OWASP, "CSV Injection").
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// output is where the results go: a file that takes its name once it is
// complete, or a stream.
type output struct {
	io.Writer
	temp *os.File
	name string
}

func openOutput(name, input string, stdout io.Writer) (*output, error) {
	if name == "" || name == "-" {
		return &output{Writer: stdout}, nil
	}
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, usage("-o: %w", err)
		}
		return &output{Writer: f}, nil
	}
	if in, inErr := os.Stat(input); err == nil && inErr == nil && os.SameFile(in, info) {
		return nil, usage("-o %s is the input itself; name another file", name)
	}
	temp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // mode 0600: it holds what customers gave
	if err != nil {
		return nil, usage("-o: %w", err)
	}
	return &output{Writer: temp, temp: temp, name: name}, nil
}

func (o *output) save() error {
	if o.temp == nil {
		return nil
	}
	if err := errors.Join(o.temp.Sync(), o.temp.Close()); err != nil {
		_ = os.Remove(o.temp.Name())
		return err
	}
	return os.Rename(o.temp.Name(), o.name)
}

func (o *output) discard() {
	if o.temp != nil {
		_ = o.temp.Close()
		_ = os.Remove(o.temp.Name())
	}
}
