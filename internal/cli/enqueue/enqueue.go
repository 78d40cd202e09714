package enqueue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

// closeBatch says that files were sent whole, and that no more jobs of their batch
// are to come for the accounts in them, unless one of the files after goes on with it.
func closeBatch(ctx context.Context, a *app.App, batch string, accounts map[string]bool, after []importer.Input) error {
	if len(accounts) == 0 || slices.ContainsFunc(after, func(s importer.Input) bool { return s.Batch == batch }) {
		return nil
	}
	err := a.Client.CloseBatch(ctx, batch, slices.Sorted(maps.Keys(accounts))...)
	if err != nil && ctx.Err() == nil {
		return exit.Worded(inspect.ExitCode(err), fmt.Sprintf("Redis at %s did not take the end of batch %s: it %s",
			a.Config.RedisHost(), humanize.Sanitize(batch), redisconn.Told(err)), err)
	}
	return err
}

// New makes the command enqueue.
func New(f *cmdutil.Factory) *cobra.Command {
	var o enqueueOptions
	cmd := &cobra.Command{
		Use:   "enqueue FILE...",
		Short: "Put the rows of files into the queue (- is standard input)",
		Long: `enqueue makes a job of each row of a table and puts it into the queue. A table
is text with separators (CSV), or a workbook (.xlsx: its first visible sheet),
also packed (.gz, .zst). Its first row names the columns: ChannelType and
InstanceName are required; the other parameters of CreateInstance, job_id,
account, priority, callback_url and metadata.KEY may be there. --template writes
an empty one.

priority is high or normal. Jobs of high priority go before the others of their
account: they get most of its quota while there are any, and never all of it. A
job that is in the queue already keeps the priority that it has.

The file format is detected and printed: UTF-8 or UTF-16 with or without a BOM,
GB18030 (GBK); commas, semicolons, tabs or vertical bars. Two-byte text is read
as GB18030, which cannot be told apart from EUC-KR, Shift_JIS and Big5 reliably:
camsq prints a sample to check, and --encoding overrides the guess. A file in
any other encoding is rejected, unless --encoding names it. A row with a value
that a spreadsheet corrupted (3.9E+08 in an ID, a date in a name, #REF!) is
rejected.

Sending a file again is safe: a row is the same job however often it comes. A
job is known by its job_id, or else by account, ChannelType and InstanceName
together. Rejected rows do not stop the others. They are listed, and written to
FILE.rejected.csv with the reason for each: correct them there and enqueue that
file. Its first column, camsq_rejected, is left out when it is read, and so is
the apostrophe in front of cells that a spreadsheet would take for a formula.

A file is a batch. At the end of one that was sent whole its batch is closed:
once every job of it has ended, the account's webhook receiver gets
batch.completed.

Exit codes: 0 all well; 1 some rows were rejected, or, with --wait, some rows
have no instance in the end, or the wait was stopped with Ctrl-C; 2 wrong usage,
a file that cannot be understood, or a Redis whose records are not for this
version; 3 Redis did not answer; 4 the template, the report or the rejected rows
could not be written.`,
		Example: `  camsq enqueue --template -o tenants.xlsx
  camsq enqueue --dry-run tenants.csv
  camsq enqueue --map Company=InstanceName --set ChannelType=VIBER crm.xlsx
  camsq enqueue --wait tenants.csv more.csv.gz
  camsq enqueue --priority high today.csv
  make-rows | camsq enqueue --batch march -`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case o.template && len(args) > 0:
				return exit.Usagef("--template reads no file; -o names the one to write")
			case !o.template && len(args) == 0:
				return exit.Usagef("enqueue needs a file, or - for standard input; see camsq enqueue --help")
			case o.rejected != "" && len(args) > 1:
				return exit.Usagef("--rejected is for one file; with several, each gets its own FILE.rejected.csv")
			case o.output != "" && !o.template:
				return exit.Usagef("-o is where --template writes; camsq results writes outcomes")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.template {
				return template(f, o.output)
			}
			return run(f, cmd, args, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.wait, "wait", false, "follow the jobs until each has ended (of more than 100,000: their batches); Ctrl-C stops following, not the jobs")
	flags.BoolVar(&o.dryRun, "dry-run", false, "check every row and send nothing; needs no Redis, and reports which jobs exist already if it can reach one")
	flags.StringVar(&o.batch, "batch", "", "`name` of the batch (default: the file's name without its ending)")
	cmdutil.AddReadFlags(&o.reading, flags)
	flags.StringVar(&o.priority, "priority", "", "priority of rows that name none: `high` or normal")
	flags.StringVar(&o.rejected, "rejected", "", "`file` for the rejected rows (default: FILE.rejected.csv)")
	flags.BoolVar(&o.listAll, "list-all", false, "list every rejected row and every one that comes twice, not just the first 20 of a file")
	flags.BoolVar(&o.template, "template", false, "write a table with a header and one example row, and do nothing else")
	flags.StringVarP(&o.output, "output", "o", "", "`file` for --template: .csv or .xlsx (default: standard output)")
	cmdutil.AddSettings(cmd, config.Client|config.Files|config.Pace)
	return cmd
}

type enqueueOptions struct {
	wait, dryRun, listAll, template bool
	batch, priority                 string
	rejected, output                string
	reading                         importer.ReadFlags
}

func run(f *cmdutil.Factory, cmd *cobra.Command, paths []string, o enqueueOptions) error {
	if o.wait && o.dryRun {
		return exit.Usagef("--wait and --dry-run exclude each other: a dry run sends nothing to wait for")
	}
	priority := tasks.Priority(o.priority)
	if reason := importer.FaultOf("priority", tasks.Job{Priority: priority}); reason != "" {
		return exit.Usagef("--priority %s: it %s", humanize.Sanitize(o.priority), reason)
	}
	c, err := f.Config(cmd)
	if err != nil {
		return err
	}
	defer cmdutil.LimitMemory()()
	files, err := f.Inputs(paths, o.batch, o.reading, c)
	if err != nil {
		return err
	}
	for i := range files {
		files[i].Options.Priority = priority
	}
	n := &notices{w: f.Stderr, all: o.listAll}
	if o.dryRun {
		return n.failure(dryRun(cmd.Context(), f, files, o, c, n))
	}
	return n.failure(enqueueFiles(cmd, f, files, o, c, n))
}

func enqueueFiles(cmd *cobra.Command, f *cmdutil.Factory, files []importer.Input, o enqueueOptions, c config.Config, n *notices) error {
	a, err := app.Open(c)
	if err != nil {
		return err
	}
	defer a.Close()
	a.Use = app.Producing
	if err := a.Ready(cmd.Context(), f.Stderr); err != nil {
		return err
	}
	notice := &BackpressureNotice{Writer: f.Stderr}
	a.Waiting = notice.Waiting
	in := importer.New(f.Stdin, notice.Wrap(a.Client.CreateAll))
	in.Follow, in.Rejected, in.Notify = o.wait, o.rejected, n.print
	rejected, err := importFiles(cmd.Context(), f, in, files, a)
	if err != nil {
		return err
	}
	if in.Accepted > 0 {
		err = goOn(cmd.Context(), f, a, in, files, o.wait)
	}
	if err == nil && rejected {
		return exit.ErrSomeFailed
	}
	return err
}

// importFiles imports the files one after the other. It reports whether rows were rejected.
func importFiles(ctx context.Context, f *cmdutil.Factory, in *importer.Importer, files []importer.Input, a *app.App) (rejected bool, err error) {
	ends := map[string]map[string]bool{} // the accounts in the files of each batch
	for i, s := range files {
		if ends[s.Batch] == nil {
			ends[s.Batch] = map[string]bool{}
		}
		got, err := in.Import(ctx, s)
		if got.Rows > 0 {
			printReport(f.Stdout, got, "queued", false)
			fmt.Fprintln(f.Stdout)
		}
		if err == nil {
			maps.Copy(ends[s.Batch], got.Accounts)
			err = closeBatch(ctx, a, s.Batch, ends[s.Batch], files[i+1:])
		}
		if err != nil {
			return true, broken(err, a, got, i > 0, files[i+1:])
		}
		rejected = rejected || got.AnyRejected()
	}
	return rejected, nil
}

// broken words an error in the middle of the work: what happened where, what
// holds, and what to do.
func broken(err error, a *app.App, got *importer.Report, before bool, after []importer.Input) error {
	queued := "nothing was queued"
	switch {
	case got.AnyAccepted():
		queued = "what is counted above is queued; send the file again, no job is made twice"
	case before:
		queued = "the files before it are queued"
	}
	if len(after) > 0 {
		names := make([]string, len(after))
		for i, s := range after {
			names[i] = s.Name
		}
		queued += "; not read: " + strings.Join(names, ", ")
	}
	if _, ends := errors.AsType[*rowfile.FileError](err); ends && !errors.Is(err, context.Canceled) {
		return exit.Usagef("%w; %s", importer.WithFlag(err), queued)
	}
	if e, ok := errors.AsType[*exit.Error](err); ok {
		return exit.With(e.Code, fmt.Errorf("%w; %s", err, queued))
	}
	at := got.Name
	if got.Open > 0 {
		at = importer.Position{File: got.Name, Line: got.Open}.String()
	}
	if errors.Is(err, context.Canceled) {
		return exit.With(exit.CodeSomeFailed, fmt.Errorf("stopped at %s; %s", at, queued))
	}
	// Redis may have taken the first rows and gone away before it said so.
	queued = strings.Replace(queued, "nothing was queued", "no row is known to be queued; send the file again, no job is made twice", 1)
	return exit.Worded(inspect.ExitCode(err), fmt.Sprintf("Redis at %s did not take the rows from %s on; %s: it %s",
		a.Config.RedisHost(), at, queued, redisconn.Told(err)), err)
}

// goOn follows what was accepted, or says how to.
func goOn(ctx context.Context, f *cmdutil.Factory, a *app.App, in *importer.Importer, files []importer.Input, wait bool) error {
	there, elsewhere, err := batchesThere(ctx, a.Model, importer.BatchNames(files), in.Batches)
	if err != nil {
		return a.RedisError(ctx, err)
	}
	next := nextCommands(files, there, elsewhere)
	if wait {
		return Wait(ctx, f, a, Imported{Jobs: in.Jobs, Files: files, Batches: there, Next: next})
	}
	fmt.Fprint(f.Stdout, next)
	return nil
}

// batchesThere sorts the batches whose rows were accepted (see importer) into those
// that exist and those whose jobs are in others.
func batchesThere(ctx context.Context, m *inspect.Model, names []string, accepted map[string]bool) (there, elsewhere []string, err error) {
	for _, name := range names {
		queued, ok := accepted[name]
		if !ok {
			continue
		}
		if !queued {
			found, err := m.BatchesOf(ctx, name)
			if err != nil {
				return nil, nil, err
			}
			if len(found) == 0 {
				elsewhere = append(elsewhere, name)
				continue
			}
		}
		there = append(there, name)
	}
	return there, elsewhere, nil
}

// nextCommands are lines with the commands that show the outcomes.
func nextCommands(files []importer.Input, there, elsewhere []string) string {
	var text strings.Builder
	for _, name := range there {
		fmt.Fprintln(&text, "To follow the batch:  camsq status", humanize.ShellQuote(name))
	}
	for _, name := range elsewhere {
		fmt.Fprintf(&text, "There is no batch %s: its jobs were sent before, and keep the batch that they had\n", humanize.Sanitize(name))
	}
	for _, s := range files {
		if s.Path != importer.StandardInput {
			fmt.Fprintln(&text, "Row by row:           camsq results", s.ResultArgs())
		}
	}
	return text.String()
}
