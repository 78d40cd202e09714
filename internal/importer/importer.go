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

// CreateAll is [enqueue.Client.CreateAll], or [DryRun.CreateAll].
type CreateAll func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error)

// maxIndexed is how many jobs of a run are kept to find rows that come twice: as
// many as a spreadsheet has rows. Beyond them such a row counts as a job that is
// there already, which it is.
const maxIndexed = 1 << 20

// Importer reads files, hands their rows to a client as jobs, and counts what became of
// each row.
type Importer struct {
	stdin  io.Reader
	create CreateAll
	// Notify is called with each notice, one at a time, in the order of the rows. It must
	// not block for long. Nil discards them.
	Notify func(Notice)
	// Rejected is the path of the file for rejected rows, instead of one beside each input.
	Rejected string
	// Follow keeps the accepted jobs in Jobs.
	Follow bool
	// Digest returns a number by which DryRun distinguishes requests.
	Digest func(tasks.Job) uint32

	Index *index
	// Accepted counts the accepted jobs, each once. Jobs holds them in the order of the
	// rows, if Follow is set.
	Accepted int64
	Jobs     []Accepted
	// Batches are those whose rows were accepted: true if this run queued one of the jobs,
	// false if all of them existed before.
	Batches map[string]bool
}

// New makes an Importer that hands jobs to create.
func New(stdin io.Reader, create CreateAll) *Importer {
	return &Importer{stdin: stdin, create: create, Index: NewIndex(maxIndexed), Batches: map[string]bool{}, Digest: func(tasks.Job) uint32 { return 0 }}
}

// NoticeKind says what a notice is about.
type NoticeKind int

// The kinds of notices.
const (
	// NoticeRejected is about a row that was not queued and needs a correction.
	NoticeRejected NoticeKind = iota + 1
	// NoticeRepeated is about a row that is the same as an earlier one.
	NoticeRepeated
	// NoticeEncoding shows text of a file whose encoding was guessed.
	NoticeEncoding
	// NoticeNotSaved says that the file of the rejected rows could not be written.
	NoticeNotSaved
)

// Notice is one line for the operator about a row or a file, at the time when it is read.
type Notice struct {
	Kind NoticeKind
	File string // the name of the input
	Text string // a whole line, which names the place
}

// Report counts what became of one file's rows. Rows is the sum of Queued, Repeated,
// Conflicts, Invalid, Unreadable and Known.
type Report struct {
	Input
	Rows, Queued int64
	Repeated     int64 // the same as an earlier row of this run
	Conflicts    int64 // rejected: the job ID exists with another request
	Invalid      int64 // rejected: the row is not a valid job
	// Unreadable counts the rows whose job exists and cannot be read. No correction helps,
	// so none goes into the file of rejected rows.
	Unreadable int64
	Known      inspect.StateCounts // jobs that existed before, by their state
	Reasons    Reasons             // why rows are invalid
	// Lanes counts the queued jobs by account; Accounts are those of all accepted jobs.
	Lanes    map[string]int64
	Accounts map[string]bool
	// Open is the line of the first row whose result is unknown, or 0.
	Open int
	// Found is the detected format, as far as the file was read.
	Found rowfile.FileInfo
	// RejectedFile is the file of the rejected rows, and KeptFile the name that an earlier
	// file of that name has now, or "".
	RejectedFile, KeptFile string

	sampled bool // a sample of a guessed encoding was shown
}

// sentRow is a row whose result is still to come.
type sentRow struct {
	line          int
	header, cells []string
	raw, name     string
}

// Import reads one file. Its error is a [*rowfile.FileError], an [*exit.Error], or
// what the client returned; what was imported until then holds.
func (in *Importer) Import(ctx context.Context, s Input) (*Report, error) {
	got := &Report{
		Input: s, Known: inspect.StateCounts{}, Lanes: map[string]int64{}, Accounts: map[string]bool{}, Reasons: Reasons{},
	}
	file, err := s.Open(ctx, in.stdin)
	if err != nil {
		return got, err
	}
	defer file.Close()
	rejected := &rejectedRows{dir: s.Dir, path: in.rejectedPath(s), input: s.Path}
	in.Index.beginFile(s.Name)
	var mu sync.Mutex // rows may be read while others are being noted
	var sent []sentRow
	var broken error
	found := func(f rowfile.FileInfo) {
		mu.Lock()
		defer mu.Unlock()
		got.Found, rejected.delimiter = f, f.Delimiter
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
			rejected.add(sent[0].header, sent[0].cells, sent[0].raw, why)
		}
		sent[0] = sentRow{} // let go of its text
		sent = sent[1:]
	})
	if len(sent) > 0 {
		got.Open = sent[0].line
	}
	if written, saveErr := rejected.save(); saveErr != nil {
		in.notify(NoticeNotSaved, s.Name, "cannot write the rejected rows of %s: %v; name another file with --rejected", s.Name, saveErr)
	} else if written {
		got.RejectedFile, got.KeptFile = rejected.path, rejected.kept
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

func (in *Importer) notify(kind NoticeKind, file, format string, args ...any) {
	if in.Notify != nil {
		in.Notify(Notice{Kind: kind, File: file, Text: fmt.Sprintf(format, args...)})
	}
}

// sampleLength is how many columns of a cell are shown.
const sampleLength = 40

// sample shows the first text that a guessed encoding has made: only a reader can see that
// the guess is wrong.
func (in *Importer) sample(got *Report, row rowfile.Row) {
	if got.Found.Guessed == "" || got.sampled {
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
	in.notify(NoticeEncoding, got.Name, "%s: note: read as %s; %s reads \"%s\". If that is wrong, give --encoding",
		humanize.Sanitize(got.Name), got.Found.Guessed, where, humanize.Clip(humanize.Sanitize(cell), sampleLength))
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

// record counts a row's result, and notifies of a row that needs a correction; name is the
// row's as it is typed. It returns why the row goes into the file of rejected rows, or "".
func (in *Importer) record(got *Report, line int, name string, r enqueue.Result) (reason string) {
	got.Rows++
	at, ref := Position{got.Name, line}, r.Job.Ref()
	switch r.Status {
	case enqueue.StatusInvalid:
		got.Invalid++
		got.Reasons.count(at, r.Err)
		in.notify(NoticeRejected, got.Name, "%v", r.Err)
		return withoutFile(r.Err)
	case enqueue.StatusConflict:
		got.Conflicts++
		why := in.conflict(at, name, r)
		in.notify(NoticeRejected, got.Name, "%s: %s", at, why)
		return fmt.Sprintf("line %d: %s", line, why)
	case enqueue.StatusUnreadable:
		got.Unreadable++
		in.notify(NoticeRejected, got.Name, "%s: job %s exists, and cannot be compared: %v", at, ref, errors.Unwrap(r.Err))
		return ""
	case enqueue.StatusKnown:
		if first, _, twin := in.Index.find(ref); twin {
			got.Repeated++
			in.notify(NoticeRepeated, got.Name, "%s: note: same row as %s%s; it is one job", at, first.relativeTo(at.File), in.typedDifferently(r.Job, name))
			return ""
		}
		got.Known[r.State]++
	case enqueue.StatusQueued:
		got.Queued++
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
	return fmt.Sprintf("job %s exists (%s) with another request; correct the row, or give it a job_id of its own", ref, r.State)
}

// withoutFile is a row's error without the file's name, which its reader knows.
func withoutFile(err error) string {
	if bad, ok := errors.AsType[*rowfile.RowError](err); ok {
		return (&rowfile.RowError{Line: bad.Line, Problems: bad.Problems}).Error()
	}
	return err.Error()
}

// AnyAccepted reports whether a row of the file is a job now.
func (r *Report) AnyAccepted() bool { return r.Queued+r.Known.Sum() > 0 }

// AnyRejected reports whether a row of the file is not.
func (r *Report) AnyRejected() bool { return r.Invalid+r.Conflicts+r.Unreadable > 0 }

// RetryArgs are the arguments with which camsq enqueue reads the corrected RejectedFile.
func (r *Report) RetryArgs() string {
	args := humanize.ShellQuote(r.RejectedFile)
	if more := r.Reading.rowFlags(); more != "" {
		args += " " + more
	}
	if r.Options.Priority != "" {
		args += " --priority " + string(r.Options.Priority)
	}
	return args
}
