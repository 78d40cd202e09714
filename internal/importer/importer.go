package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// Position is where a row stands.
type Position struct {
	File string
	Line int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// relativeTo is the position as text, without the file's name if it is in that file.
func (p Position) relativeTo(file string) string {
	if p.File == file {
		return fmt.Sprintf("line %d", p.Line)
	}
	return p.String()
}

// Accepted is a job of the files that were read, and where it was last seen.
type Accepted struct {
	Ref   tasks.Ref
	At    Position
	State tasks.State
}

// createAll is [enqueue.Client.CreateAll], or what stands in for it.
type createAll func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error)

// maxIndexed is how many jobs of a run are kept to tell of rows that come twice: as
// many as a spreadsheet has rows. Behind them such a row is told as a job that is
// there already, which it is.
const maxIndexed = 1 << 20

// Importer takes files in, and keeps what became of each row. It tells of bad rows
// as it meets them.
type Importer struct {
	stdin  io.Reader
	stderr io.Writer
	create createAll
	// all lists every row that needs a correction, instead of the first ones of a file.
	All bool
	// rejected is where bad rows go, instead of beside their file.
	Rejected string
	// follow keeps the jobs.
	Follow bool
	// digest tells requests apart, where the client does not.
	Digest func(tasks.Job) uint32

	Index *index
	// accepted counts the jobs that were accepted, each once; jobs are they, in the
	// order of the rows, if they are to be followed.
	Accepted int64
	Jobs     []Accepted
	// batches are those whose rows were accepted: true if one got a job of this run,
	// false if all its jobs were there before.
	Batches map[string]bool
}

// New makes an Importer that hands jobs to create. Lines about rows go to stderr.
func New(stdin io.Reader, stderr io.Writer, create createAll) *Importer {
	return &Importer{stdin: stdin, stderr: stderr, create: create, Index: NewIndex(maxIndexed), Batches: map[string]bool{}, Digest: func(tasks.Job) uint32 { return 0 }}
}

// Report is what became of one file's rows.
type Report struct {
	Input
	found                               rowfile.FileInfo
	Rows, queued, twice, conflicts, bad int64
	// unreadable counts the rows whose job is there and cannot be read. They are not
	// bad: none is to be corrected, so none goes into the file of bad rows.
	unreadable int64
	known      inspect.StateCounts
	// lanes counts the queued jobs by account; accounts are those of all accepted jobs.
	Lanes    map[string]int64
	Accounts map[string]bool
	// open is the line of the first row whose fate is not known, or 0.
	Open int
	// reasons counts the bad rows; listed are those that were listed one by one, and
	// noted the rows that came twice.
	reasons       reasons
	listed, noted int
	// rejected is the file of the bad rows, and kept what stood there before, or "".
	rejected, kept string
	// sampled says that a sample of a guessed encoding was shown.
	sampled bool
}

// sentRow is a row whose result is still to come.
type sentRow struct {
	line          int
	header, cells []string
	raw, name     string
}

// Import reads one file. Its error is a [*rowfile.FileError], an [*exitError], or
// what the client returned; what was imported until then holds.
func (in *Importer) Import(ctx context.Context, s Input) (*Report, error) {
	got := &Report{
		Input: s, known: inspect.StateCounts{}, Lanes: map[string]int64{}, Accounts: map[string]bool{}, reasons: reasons{},
	}
	file, err := s.Open(ctx, in.stdin)
	if err != nil {
		return got, err
	}
	defer file.Close()
	bad := &rejectedRows{dir: s.Dir, path: in.rejectedPath(s), input: s.Path}
	in.Index.beginFile(s.Name)
	var mu sync.Mutex // rows may be read while others are being noted
	var sent []sentRow
	var broken error
	found := func(f rowfile.FileInfo) {
		mu.Lock()
		defer mu.Unlock()
		got.found, bad.delimiter = f, f.Delimiter
	}
	jobs := func(yield func(tasks.Job, error) bool) {
		for row, err := range s.Rows(file, found) {
			if _, ends := errors.AsType[*rowfile.FileError](err); ends {
				broken = err
				return
			}
			mu.Lock()
			in.sample(got, row)
			sent = append(sent, sentRow{row.Line, row.Header, row.Cells, row.Raw, row.Name})
			mu.Unlock()
			if ctx.Err() != nil || !yield(row.Job, err) {
				return
			}
		}
	}
	_, err = in.create(ctx, jobs, func(r enqueue.Result) {
		mu.Lock()
		defer mu.Unlock()
		if why := in.record(got, sent[0].line, sent[0].name, r); why != "" {
			bad.add(sent[0].header, sent[0].cells, sent[0].raw, why)
		}
		sent[0] = sentRow{} // let go of its text
		sent = sent[1:]
	})
	if len(sent) > 0 {
		got.Open = sent[0].line
	}
	if written, saveErr := bad.save(); saveErr != nil {
		fmt.Fprintf(in.stderr, "the bad rows of %s are not in a file of their own; name one that can be written: %v\n", s.Name, saveErr)
	} else if written {
		got.rejected, got.kept = bad.path, bad.kept
	}
	if err == nil && broken == nil {
		err = ctx.Err()
	}
	if err != nil {
		return got, err
	}
	return got, broken
}

func (in *Importer) rejectedPath(s Input) string {
	if in.Rejected != "" {
		return in.Rejected
	}
	if s.Path == StandardInput {
		return s.Name + rejectedEnding
	}
	return s.Path + rejectedEnding
}

// mostListed is how many rows of a file are listed one by one; more would hide
// what is said after them.
const mostListed = 20

// list prints a line about a row that needs a correction, and counts it.
func (in *Importer) list(count *int, what string, format string, args ...any) {
	*count++
	if in.All || *count <= mostListed {
		fmt.Fprintf(in.stderr, format+"\n", args...)
	} else if *count == mostListed+1 {
		fmt.Fprintf(in.stderr, "… more %s; --list-all lists them all\n", what)
	}
}

// sampleLength is how many characters of a cell are shown.
const sampleLength = 40

// sample shows the first text that a guessed encoding has made: only a person can
// tell that it is another one.
func (in *Importer) sample(got *Report, row rowfile.Row) {
	if got.found.Guessed == "" || got.sampled {
		return
	}
	where, cell := "the header", beyondASCII(row.Header)
	if cell == "" {
		where, cell = fmt.Sprintf("line %d", row.Line), beyondASCII(row.Cells)
	}
	if cell == "" {
		return
	}
	got.sampled = true
	fmt.Fprintf(in.stderr, "%s: note: read as %s; %s says \"%s\". If that is not what it says, give --encoding\n",
		humanize.Sanitize(got.Name), got.found.Guessed, where, humanize.Clip(humanize.Sanitize(cell), sampleLength))
}

// beyondASCII returns the first cell that is not ASCII, or "".
func beyondASCII(cells []string) string {
	for _, c := range cells {
		if strings.ContainsFunc(c, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return c
		}
	}
	return ""
}

// record keeps what became of a row, and tells of it if it needs a correction; name is the
// row's as it is typed. It returns why the row was refused, or "".
func (in *Importer) record(got *Report, line int, name string, r enqueue.Result) (refused string) {
	got.Rows++
	at, ref := Position{got.Name, line}, r.Job.Ref()
	switch r.Status {
	case enqueue.StatusInvalid:
		got.bad++
		got.reasons.count(at, r.Err)
		in.list(&got.listed, "bad rows", "%v", r.Err)
		return whyRefused(r.Err)
	case enqueue.StatusConflict:
		got.conflicts++
		why := in.conflict(at, name, r)
		in.list(&got.listed, "bad rows", "%s: %s", at, why)
		return fmt.Sprintf("line %d: %s", line, why)
	case enqueue.StatusUnreadable:
		got.unreadable++
		in.list(&got.listed, "bad rows", "%s: job %s is there already, and cannot be compared: %v", at, ref, errors.Unwrap(r.Err))
		return ""
	case enqueue.StatusKnown:
		if first, _, twin := in.Index.find(ref); twin {
			got.twice++
			in.list(&got.noted, "rows that are the same as one before", "%s: note: same row as %s%s; it is one job", at, first.relativeTo(at.File), in.typedDifferently(r.Job, name))
			return ""
		}
		got.known[r.State]++
	case enqueue.StatusQueued:
		got.queued++
		got.Lanes[ref.Account]++
	}
	in.Batches[got.Batch] = in.Batches[got.Batch] || r.Status == enqueue.StatusQueued
	in.Index.add(ref, line, in.Digest(r.Job))
	in.Index.addTyped(r.Job, name)
	in.Accepted++
	if !got.Accounts[ref.Account] {
		got.Accounts[strings.Clone(ref.Account)] = true
	}
	if in.Follow && len(in.Jobs) <= inspect.MaxFollowed { // of more, their batches are followed
		// The row's own text is let go of: these may be many.
		ref = tasks.Ref{Account: strings.Clone(ref.Account), ID: strings.Clone(ref.ID)}
		in.Jobs = append(in.Jobs, Accepted{Ref: ref, At: at, State: r.State})
	}
	return ""
}

// mostRevealed is how much of a name is shown that differs in what cannot be seen.
const mostRevealed = 60

// typedDifferently says that a row's name is typed otherwise than the same one in an earlier row:
// who reads the two sees no difference.
func (in *Importer) typedDifferently(job tasks.Job, name string) string {
	if in.Index.typedAlike(job, name) {
		return ""
	}
	return ", whose name differs only in what cannot be seen: here it is " + tasks.Reveal(name, mostRevealed)
}

// conflict says whose job ID a row has.
func (in *Importer) conflict(at Position, name string, r enqueue.Result) string {
	ref := r.Job.Ref()
	first, _, twin := in.Index.find(ref)
	if twin {
		return fmt.Sprintf("same job as %s (%s)%s, but another request; correct one of the two, or give it a job_id of its own", first.relativeTo(at.File), ref, in.typedDifferently(r.Job, name))
	}
	return fmt.Sprintf("job %s is there already (%s) with another request; correct the row, or give it a job_id of its own", ref, r.State)
}

// whyRefused is a row's error without the file's name, which is the reader's own.
func whyRefused(err error) string {
	if bad, ok := errors.AsType[*rowfile.RowError](err); ok {
		return (&rowfile.RowError{Line: bad.Line, Problems: bad.Problems}).Error()
	}
	return err.Error()
}

// AnyAccepted says whether a row of the file is a job now.
func (r *Report) AnyAccepted() bool { return r.queued+r.known.Sum() > 0 }

// AnyRejected says whether a row of the file is not.
func (r *Report) AnyRejected() bool { return r.bad+r.conflicts+r.unreadable > 0 }

// retryArgs are the arguments with which the refused rows are enqueued once they are
// corrected.
func (r *Report) retryArgs() string {
	args := humanize.ShellQuote(r.rejected)
	if more := r.Reading.rowArgs(); more != "" {
		args += " " + more
	}
	if r.Options.Priority != "" {
		args += " --priority " + string(r.Options.Priority)
	}
	return args
}

// Wording is how the rows of a file are counted.
type Wording struct {
	Queued  string // what became of those that are new
	Refused string // stands before why rows were refused
	Reasons bool   // why is counted also if each row is listed
}

// Print tells what became of a file's rows.
func (r *Report) Print(w io.Writer, words Wording) {
	fmt.Fprint(w, humanize.Sanitize(r.Name))
	if r.found.Format != "" {
		fmt.Fprintf(w, " (%s)", humanize.Sanitize(r.found.Format))
	}
	fmt.Fprintf(w, ", batch %s\n", humanize.Sanitize(r.Batch))
	if len(r.found.Ignored) > 0 {
		fmt.Fprintf(w, "  left out: %s\n", humanize.Sanitize(strings.Join(r.found.Ignored, ", ")))
	}
	lines := []render.CountLine{render.Count(r.Rows, "rows"), render.Count(r.queued, words.Queued)}
	if r.Rows == 1 {
		lines[0] = render.Count(1, "row")
	}
	for _, s := range tasks.States() {
		lines = append(lines, render.Count(r.known[s], already(s)))
	}
	lines = append(lines,
		render.Count(r.twice, "the same as a row before (noted above)"),
		render.Count(r.conflicts, words.Refused+"another request under the same job ID (listed above)"),
		render.Count(r.unreadable, words.Refused+"a job that is there and cannot be read (listed above)"),
		render.Count(r.bad, words.Refused+"bad (listed above)"),
	)
	render.PrintCounts(w, lines)
	if r.bad > 0 && (words.Reasons || r.bad > mostListed) {
		r.reasons.print(w)
	}
	if r.rejected != "" {
		fmt.Fprintf(w, "  The rows that were refused are in %s, each with why. Correct them there,\n  and enqueue that file: camsq enqueue %s\n", humanize.Sanitize(r.rejected), r.retryArgs())
	}
	if r.unreadable > 0 {
		fmt.Fprintf(w, "  In rows whose job cannot be read nothing is to be corrected. Once a camsq that can read it\n"+
			"  runs here, with the data key of its time, send the same rows again under the same job IDs.\n")
	}
	if r.kept != "" {
		fmt.Fprintf(w, "  What stood there before is kept as %s.\n", humanize.Sanitize(r.kept))
	}
}

// already says of jobs that were sent before where they stand.
func already(s tasks.State) string {
	switch s {
	case tasks.StateCalling:
		return "already being created"
	case tasks.StateUncertain:
		return "already sent; the answer was lost, and the outcome is being looked up"
	case tasks.StateHeld:
		return "already held for an operator to decide"
	case tasks.StateFailed:
		return "already failed; not tried again by themselves (camsq retry)"
	case tasks.StateCancelled:
		return "already cancelled; not queued again by themselves (to send such a row anew, give it a job_id of its own)"
	case tasks.StateQueued, tasks.StateCreated:
	}
	return "already " + string(s)
}
