package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// source is one file to be read.
type source struct {
	path string // "-" is standard input
	name string // in messages
	// batch is the batch of its rows, account that of rows which name none.
	batch, account string
	rules          tasks.Rules
}

const standardInput = "-"

// sources looks at every file before the first is read: a name that is wrong
// stops the command while nothing has happened.
func sources(paths []string, batch, account string, c config) ([]source, error) {
	if account != "" && !slices.Contains(c.names(), account) {
		return nil, usage("--account %s: there is no such account; there is %s", account, strings.Join(c.names(), ", "))
	}
	out := make([]source, len(paths))
	for i, path := range paths {
		s := source{path: path, name: path, account: account, rules: c.rules()}
		base := filepath.Base(path)
		s.batch = strings.TrimSuffix(base, filepath.Ext(base))
		if path == standardInput {
			s.name, s.batch = "stdin", "stdin"
		} else if err := checkFile(path); err != nil {
			return nil, err
		}
		if slices.Contains(paths[:i], path) {
			return nil, usage("%s is given twice", path)
		}
		if batch != "" {
			s.batch = batch
		}
		if reason := wrongBatch(s.batch); reason != "" {
			return nil, usage("%s: the batch name %q %s; give another with --batch", s.name, plain(s.batch), reason)
		}
		out[i] = s
	}
	return out, nil
}

func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usage("%s: there is no such file", path)
	case err != nil:
		return usage("%w", err)
	case info.IsDir():
		return usage("%s is a folder; name the files in it", path)
	}
	return nil
}

// wrongBatch returns why a name cannot be that of a batch, or "".
func wrongBatch(name string) string {
	if name == "" {
		return "is empty"
	}
	invalid, ok := errors.AsType[*tasks.InvalidError](tasks.Job{Batch: name}.Normalize().Validate(tasks.Rules{}))
	if !ok {
		return ""
	}
	for _, f := range invalid.Fields {
		if f.Field == "batch" {
			return f.Reason
		}
	}
	return ""
}

// open opens the file so that reading ends with ctx: a pipe or a terminal may
// not give anything for a long time.
func (s source) open(ctx context.Context, stdin io.Reader) (io.ReadCloser, error) {
	file := io.NopCloser(stdin)
	if s.path != standardInput {
		var err error
		if file, err = os.Open(s.path); err != nil {
			return nil, usage("%w", err)
		}
	}
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, file)
		_ = w.CloseWithError(err)
		_ = file.Close()
		stop()
	}()
	return r, nil
}

func (s source) rows(r io.Reader) iter.Seq2[enqueue.Row, error] {
	return enqueue.ReadRows(r, enqueue.ReadOptions{File: s.name, Account: s.account, Batch: s.batch, Rules: s.rules})
}

// place is where a row stands.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// from is the place as it is called by somebody who stands in a file.
func (p place) from(file string) string {
	if p.file == file {
		return fmt.Sprintf("line %d", p.line)
	}
	return p.String()
}

// followed is a job of the files that were read, and where it was last seen.
type followed struct {
	ref   tasks.Ref
	at    place
	state tasks.State
}

// createAll is [enqueue.Client.CreateAll], or what stands in for it.
type createAll func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error)

// rehearse stands in for the client: it sends nothing, and knows only the jobs
// of this run.
func rehearse() createAll {
	known := map[tasks.Ref][sha256.Size]byte{}
	return func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
		for job, err := range jobs {
			if ctx.Err() != nil {
				return enqueue.Summary{}, ctx.Err()
			}
			r := enqueue.Result{Job: job, Status: enqueue.StatusQueued, State: tasks.StateQueued, Err: err}
			if err != nil {
				r.Status = enqueue.StatusInvalid
				each(r)
				continue
			}
			request := job
			request.Batch = "" // the same request may come with two batches
			text, _ := json.Marshal(request)
			sum := sha256.Sum256(text)
			switch first, twin := known[job.Ref()]; {
			case twin && first == sum:
				r.Status = enqueue.StatusKnown
			case twin:
				r.Status, r.Err = enqueue.StatusConflict, &enqueue.ConflictError{Ref: job.Ref(), State: r.State}
			default:
				known[job.Ref()] = sum
			}
			each(r)
		}
		return enqueue.Summary{}, nil
	}
}

// importer takes files in, and keeps what became of each row. It tells of bad rows
// as it meets them.
type importer struct {
	stdin  io.Reader
	stderr io.Writer
	create createAll
	// jobs are those that were accepted, each once, in the order of the rows;
	// index is where each stands in it.
	jobs  []followed
	index map[tasks.Ref]int
}

func newImporter(stdin io.Reader, stderr io.Writer, create createAll) *importer {
	return &importer{stdin: stdin, stderr: stderr, create: create, index: map[tasks.Ref]int{}}
}

// imported is what became of one file's rows.
type imported struct {
	source
	rows, queued, twice, conflicts, bad int64
	known                               tally
	// lanes counts the queued jobs by account.
	lanes map[string]int64
	// open is the line of the first row whose fate is not known, or 0.
	open int
}

// take reads one file. Its error is a [*enqueue.FileError], an [*exitError], or
// what the client returned; what was imported until then holds.
func (in *importer) take(ctx context.Context, s source) (*imported, error) {
	got := &imported{source: s, known: tally{}, lanes: map[string]int64{}}
	file, err := s.open(ctx, in.stdin)
	if err != nil {
		return got, err
	}
	defer file.Close()
	var sent []int // the lines of rows whose result is still to come
	var broken error
	jobs := func(yield func(tasks.Job, error) bool) {
		for row, err := range s.rows(file) {
			if _, ends := errors.AsType[*enqueue.FileError](err); ends {
				broken = err
				return
			}
			sent = append(sent, row.Line)
			if !yield(row.Job, err) {
				return
			}
		}
	}
	_, err = in.create(ctx, jobs, func(r enqueue.Result) {
		in.note(got, place{s.name, sent[0]}, r)
		sent = sent[1:]
	})
	if len(sent) > 0 {
		got.open = sent[0]
	}
	if err != nil {
		return got, err
	}
	return got, broken
}

// note keeps what became of a row, and tells of it if it needs a person.
func (in *importer) note(got *imported, at place, r enqueue.Result) {
	got.rows++
	ref := r.Job.Ref()
	first, twin := in.index[ref]
	switch r.Status {
	case enqueue.StatusInvalid:
		got.bad++
		fmt.Fprintln(in.stderr, r.Err)
		return
	case enqueue.StatusConflict:
		got.conflicts++
		switch conflict, _ := errors.AsType[*enqueue.ConflictError](r.Err); {
		case twin:
			fmt.Fprintf(in.stderr, "%s: same job as %s (%s), but another request; correct one of the two, or give it a job_id of its own\n", at, in.jobs[first].at.from(at.file), ref)
		case conflict != nil && conflict.Err != nil:
			fmt.Fprintf(in.stderr, "%s: job %s is there already, and cannot be compared: %v\n", at, ref, conflict.Err)
		default:
			fmt.Fprintf(in.stderr, "%s: job %s is there already (%s) with another request; correct the row, or give it a job_id of its own\n", at, ref, r.State)
		}
		return
	case enqueue.StatusQueued:
		got.queued++
		got.lanes[ref.Account]++
	case enqueue.StatusKnown:
		if twin {
			got.twice++
			fmt.Fprintf(in.stderr, "%s: note: same row as %s; it is one job\n", at, in.jobs[first].at.from(at.file))
			return
		}
		got.known[r.State]++
	}
	// The row's own text is let go of: these may be many.
	ref = tasks.Ref{Account: strings.Clone(ref.Account), ID: strings.Clone(ref.ID)}
	in.index[ref] = len(in.jobs)
	in.jobs = append(in.jobs, followed{ref: ref, at: at, state: r.State})
}

func (r *imported) accepted() bool { return r.queued+r.known.sum() > 0 }

// print tells what became of a file's rows.
func (r *imported) print(w io.Writer, dry bool) {
	fmt.Fprintf(w, "%s, batch %s\n", plain(r.name), plain(r.batch))
	lines := []countLine{{r.rows, "rows"}, {r.queued, "queued"}}
	if r.rows == 1 {
		lines[0].text = "row"
	}
	if dry {
		lines[1].text = "good"
	}
	for _, s := range tasks.States() {
		lines = append(lines, countLine{r.known[s], already(s)})
	}
	lines = append(lines,
		countLine{r.twice, "the same as a row before (noted above)"},
		countLine{r.conflicts, "not queued: another request under the same job ID (listed above)"},
		countLine{r.bad, "not queued: bad (listed above)"},
	)
	printCounts(w, lines)
}

// already says of jobs that were sent before where they stand.
func already(s tasks.State) string {
	switch s {
	case tasks.StateCalling:
		return "already being created"
	case tasks.StateUncertain:
		return "already sent; the answer was lost, and the instance is looked for"
	case tasks.StateHeld:
		return "already held for a person to decide"
	case tasks.StateFailed:
		return "already failed; not tried again by themselves (camsq retry)"
	case tasks.StateCancelled:
		return "already cancelled; not queued again by themselves"
	case tasks.StateQueued, tasks.StateCreated:
	}
	return "already " + string(s)
}
