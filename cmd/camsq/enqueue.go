package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

func (p *program) enqueueCommand() *cobra.Command {
	var o enqueueOptions
	cmd := &cobra.Command{
		Use:   "enqueue FILE...",
		Short: "Put the rows of files into the queue; - is standard input",
		Long: `enqueue makes a job of each row of a CSV file (UTF-8, commas) and puts it into the queue.
The first row names the columns: ChannelType and InstanceName are required; the other
parameters of CreateInstance, job_id, account, priority, callback_url and metadata.KEY may
be there.

priority is high or normal. Jobs of high priority go before the others of their account: they
get most of its quota while there are any, and never all of it. A job that is in the queue
already keeps the priority that it has.

Sending a file again is safe: a row is the same job however often it comes. A job is known
by its job_id, or else by account, ChannelType and InstanceName together. Bad rows are
listed and do not stop the others.

Exit codes: 0 all well; 1 some rows were refused, or, with --wait, some rows have no
instance in the end, or the wait was stopped with Ctrl-C; 2 wrong usage, or a file that
cannot be understood; 3 Redis did not answer.`,
		Example: `  camsq enqueue --dry-run tenants.csv
  camsq enqueue --wait tenants.csv
  camsq enqueue --priority high today.csv
  make-rows | camsq enqueue --batch march -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("enqueue needs a file, or - for standard input; see camsq enqueue --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.enqueue(cmd, args, o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.wait, "wait", false, "follow the jobs until each has ended; Ctrl-C stops following, not the jobs")
	f.BoolVar(&o.dryRun, "dry-run", false, "check every row and send nothing; needs no Redis")
	f.StringVar(&o.batch, "batch", "", "`name` of the batch (default: the file's name without its ending)")
	f.StringVar(&o.account, "account", "", "`name` of the account of rows that name none (default \"default\")")
	f.StringVar(&o.priority, "priority", "", "priority of rows that name none: `high` or normal")
	return cmd
}

type enqueueOptions struct {
	wait, dryRun             bool
	batch, account, priority string
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
	files, err := sources(paths, o.batch, o.account, c)
	if err != nil {
		return err
	}
	for i := range files {
		files[i].priority = priority
	}
	if o.dryRun {
		return p.rehearse(cmd.Context(), files, c)
	}
	n, err := newNode(c)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.reach(cmd.Context()); err != nil {
		return err
	}
	in := newImporter(p.stdin, p.stderr, n.client.CreateAll)
	refused, err := p.takeAll(cmd.Context(), in, files, n)
	if err != nil {
		return err
	}
	if o.wait && len(in.jobs) > 0 {
		err = p.wait(cmd.Context(), n, in.jobs, files)
	} else if len(in.jobs) > 0 {
		p.printHints(files)
	}
	if err == nil && refused {
		return errSomeFailed
	}
	return err
}

// rehearse is a dry run: everything but the sending.
func (p *program) rehearse(ctx context.Context, files []source, c config) error {
	in := newImporter(p.stdin, p.stderr, rehearse())
	lanes, refused := map[string]int64{}, false
	for _, s := range files {
		got, err := in.take(ctx, s)
		if errors.Is(err, context.Canceled) {
			return &exitError{exitSomeFailed, fmt.Errorf("stopped in %s; nothing was sent", s.name)}
		}
		if _, ends := errors.AsType[*enqueue.FileError](err); ends {
			err = usage("%w", err)
		}
		if err != nil {
			return err
		}
		got.print(p.stdout, true)
		fmt.Fprintln(p.stdout)
		for account, n := range got.lanes {
			lanes[account] += n
		}
		refused = refused || got.bad+got.conflicts > 0
	}
	fmt.Fprintln(p.stdout, estimate(lanes, c))
	fmt.Fprintln(p.stdout, "Nothing was sent. Whether a job is in the queue already was not looked up; if so, it is not made twice.")
	if refused {
		return errSomeFailed
	}
	return nil
}

// estimate says how long the creates of new jobs take at best.
func estimate(lanes map[string]int64, c config) string {
	var longest time.Duration
	var slowest account
	for _, a := range c.Accounts {
		if took := time.Duration(float64(lanes[a.Name]) / a.Rate * float64(time.Second)); took > longest {
			longest, slowest = took, a
		}
	}
	if longest == 0 {
		return "There is nothing to create."
	}
	text := fmt.Sprintf("At %g a second for account %s, %s need ", slowest.Rate, slowest.Name, plural(lanes[slowest.Name], "create"))
	if longest >= time.Second {
		text += "at least "
	}
	text += span(longest)
	if len(lanes) > 1 {
		text += "; the other accounts are done before"
	}
	return text + "."
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
			got.print(p.stdout, false)
			fmt.Fprintln(p.stdout)
		}
		if err == nil {
			maps.Copy(ends[s.batch], got.accounts)
			err = n.closeBatch(ctx, s.batch, ends[s.batch], files[i+1:])
		}
		if err != nil {
			return true, broken(err, n, got, i > 0, files[i+1:])
		}
		refused = refused || got.bad+got.conflicts > 0
	}
	return refused, nil
}

// broken words an error in the middle of the work: what happened where, what
// holds, and what to do.
func broken(err error, n *node, got *imported, before bool, after []source) error {
	holds := "nothing was queued"
	switch {
	case got.accepted():
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
	if _, ends := errors.AsType[*enqueue.FileError](err); ends && !errors.Is(err, context.Canceled) {
		return usage("%w; %s", err, holds)
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return &exitError{e.code, fmt.Errorf("%w; %s", err, holds)}
	}
	at := got.name
	if got.open > 0 {
		at = place{got.name, got.open}.String()
	}
	if errors.Is(err, context.Canceled) {
		return &exitError{exitSomeFailed, fmt.Errorf("stopped at %s; %s", at, holds)}
	}
	return unreachable("Redis at %s did not take the rows from %s on; %s: %w", n.config.redisHost(), at, holds, err)
}

// printHints says how to go on.
func (p *program) printHints(files []source) {
	for _, name := range batchNames(files) {
		fmt.Fprintln(p.stdout, "To follow the batch:  camsq status", word(name))
	}
	for _, s := range files {
		if s.path != standardInput {
			fmt.Fprintln(p.stdout, "Row by row:           camsq results", s.resultArgs())
		}
	}
}

// resultArgs are the arguments with which results finds the same jobs.
func (s source) resultArgs() string {
	if s.account == "" {
		return word(s.path)
	}
	return word(s.path) + " --account " + s.account
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
