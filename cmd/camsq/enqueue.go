package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

func (p *program) enqueueCommand() *cobra.Command {
	var o enqueueOptions
	cmd := &cobra.Command{
		Use:   "enqueue FILE...",
		Short: "Put the rows of files into the queue; - is standard input",
		Long: `enqueue makes a job of each row of a table and puts it into the queue. A table is text with
separators (CSV), or a workbook (.xlsx: its first visible sheet), also packed (.gz, .zst).
Its first row names the columns: ChannelType and InstanceName are required; the other
parameters of CreateInstance, job_id, account, priority, callback_url and metadata.KEY may
be there. --template writes an empty one.

priority is high or normal. Jobs of high priority go before the others of their account: they
get most of its quota while there are any, and never all of it. A job that is in the queue
already keeps the priority that it has.

What the file is, is detected and told: UTF-8 or UTF-16 with or without a mark, GB18030 (GBK);
commas, semicolons, tabs or vertical bars. Text whose characters take two bytes is taken for
GB18030, which cannot be told from EUC-KR, Shift_JIS or Big5: a sample of it is shown, and
--encoding decides. Text that is neither UTF-8 nor like that is refused.
What a spreadsheet has spoiled (3.9E+08 in an ID, a date in a name, #REF!) makes a bad row.

Sending a file again is safe: a row is the same job however often it comes. A job is known
by its job_id, or else by account, ChannelType and InstanceName together. Bad rows do not
stop the others. They are listed, and written to FILE.rejected.csv with what is wrong with
each: correct them there and enqueue that file. Its first column, camsq_rejected, is left out
when it is read, and so is the apostrophe in front of cells that a spreadsheet would take
for a formula.

A file is a batch. At the end of one that was sent whole its batch is closed: once every job of
it has ended, the account's webhook receiver is told (batch.completed).

Exit codes: 0 all well; 1 some rows were refused, or, with --wait, some rows have no
instance in the end, or the wait was stopped with Ctrl-C; 2 wrong usage, a file that cannot
be understood, or a Redis whose records are not for this version; 3 Redis did not answer.`,
		Example: `  camsq enqueue --template -o tenants.xlsx
  camsq enqueue --dry-run tenants.csv
  camsq enqueue --map "Company=InstanceName" --set ChannelType=VIBER customers.xlsx
  camsq enqueue --wait tenants.csv more.csv.gz
  camsq enqueue --priority high today.csv
  make-rows | camsq enqueue --batch march -`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case o.template && len(args) > 0:
				return usage("--template reads no file; -o names the one to write")
			case !o.template && len(args) == 0:
				return usage("enqueue needs a file, or - for standard input; see camsq enqueue --help")
			case o.rejected != "" && len(args) > 1:
				return usage("--rejected is for one file; with several, each gets its own FILE.rejected.csv")
			case o.output != "" && !o.template:
				return usage("-o is where --template writes; camsq results writes outcomes")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.template {
				return p.template(o.output)
			}
			return p.enqueue(cmd, args, o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.wait, "wait", false, "follow the jobs until each has ended (of more than 100,000: their batches); Ctrl-C stops following, not the jobs")
	f.BoolVar(&o.dryRun, "dry-run", false, "check every row and send nothing; needs no Redis, and tells what is there already if there is one")
	f.StringVar(&o.batch, "batch", "", "`name` of the batch (default: the file's name without its ending)")
	o.reading.addFlags(f)
	f.StringVar(&o.priority, "priority", "", "priority of rows that name none: `high` or normal")
	f.StringVar(&o.rejected, "rejected", "", "`file` for the rows that are refused (default: FILE.rejected.csv)")
	f.BoolVar(&o.listAll, "list-all", false, "list every bad row and every one that comes twice, not just the first 20 of a file")
	f.BoolVar(&o.template, "template", false, "write a table with a header and one example row, and do nothing else")
	f.StringVarP(&o.output, "output", "o", "", "`file` for --template: .csv or .xlsx (default: standard output)")
	return cmd
}

type enqueueOptions struct {
	wait, dryRun, listAll, template bool
	batch, priority                 string
	rejected, output                string
	reading                         reading
}

func (p *program) enqueue(cmd *cobra.Command, paths []string, o enqueueOptions) error {
	if o.wait && o.dryRun {
		return usage("--wait and --dry-run exclude each other: a dry run sends nothing to wait for")
	}
	priority := tasks.Priority(o.priority)
	if reason := faultOf("priority", tasks.Job{Priority: priority}); reason != "" {
		return usage("--priority %s: it %s", plain(o.priority), reason)
	}
	c, err := p.load(cmd)
	if err != nil {
		return err
	}
	defer spareMemory()()
	files, err := p.sources(paths, o.batch, o.reading, c)
	if err != nil {
		return err
	}
	for i := range files {
		files[i].options.Priority = priority
	}
	if o.dryRun {
		return p.rehearse(cmd.Context(), files, o, c)
	}
	n, err := newNode(c)
	if err != nil {
		return err
	}
	defer n.close()
	n.use = ledger.Producing
	if err := n.reach(cmd.Context(), p.stderr); err != nil {
		return err
	}
	room := &roomTeller{w: p.stderr}
	n.waiting = room.waits
	in := newImporter(p.stdin, p.stderr, room.watch(n.client.CreateAll))
	in.follow, in.all, in.rejected = o.wait, o.listAll, o.rejected
	refused, err := p.takeAll(cmd.Context(), in, files, n)
	if err != nil {
		return err
	}
	if in.accepted > 0 {
		err = p.goOn(cmd.Context(), n, in, files, o.wait)
	}
	if err == nil && refused {
		return errSomeFailed
	}
	return err
}

// takeAll reads the files one after the other. refused says that some rows were
// not accepted.
func (p *program) takeAll(ctx context.Context, in *importer, files []source, n *node) (refused bool, err error) {
	ends := map[string]map[string]bool{} // the accounts in the files of each batch
	for i, s := range files {
		if ends[s.batch] == nil {
			ends[s.batch] = map[string]bool{}
		}
		got, err := in.take(ctx, s)
		if got.rows > 0 {
			got.print(p.stdout, wording{queued: "queued", refused: "not queued: "})
			fmt.Fprintln(p.stdout)
		}
		if err == nil {
			maps.Copy(ends[s.batch], got.accounts)
			err = n.closeBatch(ctx, s.batch, ends[s.batch], files[i+1:])
		}
		if err != nil {
			return true, broken(err, n, got, i > 0, files[i+1:])
		}
		refused = refused || got.refused()
	}
	return refused, nil
}

// broken words an error in the middle of the work: what happened where, what
// holds, and what to do.
func broken(err error, n *node, got *imported, before bool, after []source) error {
	holds := "nothing was queued"
	switch {
	case got.somethingAccepted():
		holds = "what is counted above is queued; send the file again, no job is made twice"
	case before:
		holds = "the files before it are queued"
	}
	if len(after) > 0 {
		names := make([]string, len(after))
		for i, s := range after {
			names[i] = s.name
		}
		holds += "; not read: " + strings.Join(names, ", ")
	}
	if _, ends := errors.AsType[*rowfile.FileError](err); ends && !errors.Is(err, context.Canceled) {
		return usage("%w; %s", fileFault(err), holds)
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return withCode(e.code, fmt.Errorf("%w; %s", err, holds))
	}
	at := got.name
	if got.open > 0 {
		at = place{file: got.name, line: got.open}.String()
	}
	if errors.Is(err, context.Canceled) {
		return withCode(exitSomeFailed, fmt.Errorf("stopped at %s; %s", at, holds))
	}
	// Redis may have taken the first rows and gone away before it said so.
	holds = strings.Replace(holds, "nothing was queued", "no row is known to be queued; send the file again, no job is made twice", 1)
	return worded(redisExit(err), fmt.Sprintf("Redis at %s did not take the rows from %s on; %s: it %s",
		n.config.redisHost(), at, holds, redisconn.Told(err)), err)
}

// goOn follows what was accepted, or says how to.
func (p *program) goOn(ctx context.Context, n *node, in *importer, files []source, wait bool) error {
	there, elsewhere, err := n.batchesThere(ctx, batchNames(files), in.batches)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	hints := func() { p.printHints(files, there, elsewhere) }
	if wait {
		return p.wait(ctx, n, in.jobs, files, there, hints)
	}
	hints()
	return nil
}

// batchesThere sorts the batches whose rows were accepted (see importer) into those
// that exist and those whose jobs are in others.
func (n *model) batchesThere(ctx context.Context, names []string, accepted map[string]bool) (there, elsewhere []string, err error) {
	for _, name := range names {
		queued, ok := accepted[name]
		if !ok {
			continue
		}
		if !queued {
			found, err := n.batchesOf(ctx, name)
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

// printHints says how to go on.
func (p *program) printHints(files []source, there, elsewhere []string) {
	for _, name := range there {
		fmt.Fprintln(p.stdout, "To follow the batch:  camsq status", word(name))
	}
	for _, name := range elsewhere {
		fmt.Fprintf(p.stdout, "There is no batch %s: its jobs were sent before, and keep the batch that they had\n", plain(name))
	}
	for _, s := range files {
		if s.path != standardInput {
			fmt.Fprintln(p.stdout, "Row by row:           camsq results", s.resultArgs())
		}
	}
}

// resultArgs are the arguments with which results finds the same jobs.
func (s source) resultArgs() string {
	return strings.TrimSpace(word(s.path) + " " + s.reading.args())
}

func batchNames(files []source) []string {
	var names []string
	for _, s := range files {
		if !slices.Contains(names, s.batch) {
			names = append(names, s.batch)
		}
	}
	return names
}
