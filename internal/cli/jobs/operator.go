package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/tasks"
)

// The operator's joins.
var (
	_ operate.Store     = (*ledger.Ledger)(nil)
	_ operate.LaneStore = (*ledger.Ledger)(nil)
	_ operate.Queue     = (*queue.Client)(nil)
)

func NewRetry(p *cmdutil.Factory) *cobra.Command {
	var o retryOptions
	cmd := &cobra.Command{
		Use:   "retry JOB... | --batch NAME | --code CODE | --all",
		Short: "Put failed jobs back into the queue with another budget",
		Long: `retry gives failed jobs another budget of tries and time, and puts them back into the queue:
those that are named (ID or ACCOUNT/ID), or all that match. A job of which a call once ended
without an answer is looked up first: an instance that turned up late is taken, not made twice.
The new outcome is told to the webhook as an event of its own.

With --callbacks it replays callbacks that were given up instead, as camsq failed --callbacks
lists them, those of batches too; --code is then the reason that is shown there.

Exit codes: 0 all were put back; 1 some could not be, and stderr says why; 2 wrong usage;
3 Redis did not answer.`,
		Example: `  camsq retry default/order-7 order-8
  camsq retry --code camsq.TriesSpent --account default
  camsq retry --callbacks --all`,
		RunE: func(cmd *cobra.Command, args []string) error { return retry(p, cmd, args, o) },
	}
	f := cmd.Flags()
	addFilterFlags(&o.Filter, f)
	f.BoolVar(&o.all, "all", false, "all of them")
	f.BoolVar(&o.callbacks, "callbacks", false, "callbacks that were given up instead of failed jobs")
	cmdutil.AddSettings(cmd, config.Client|config.Operator)
	return cmd
}

type retryOptions struct {
	inspect.Filter
	all, callbacks bool
}

func retry(f *cmdutil.Factory, cmd *cobra.Command, names []string, o retryOptions) error {
	many := o.all || o.Batch != "" || o.Code != ""
	switch {
	case len(names) == 0 && !many:
		return exit.Usagef("retry needs jobs, or --batch, --code or --all; see camsq retry --help")
	case len(names) > 0 && (many || o.Account != ""):
		return exit.Usagef("retry takes either jobs or --batch, --code, --account and --all")
	}
	a, err := f.AppFor(cmd, ledger.Operating)
	if err != nil {
		return err
	}
	defer a.Close()
	w := &work{Factory: f, node: a, list: inspect.ListOfState(tasks.StateFailed), do: cmdutil.Operator(a, f).Retry, done: "put back into the queue"}
	if o.callbacks {
		w.list, w.do, w.done = inspect.ListOfDeadCallbacks(), cmdutil.Operator(a, f).Replay, "to be told again"
	}
	if many {
		return w.all(cmd.Context(), o.Filter)
	}
	return w.named(cmd.Context(), names)
}

func NewCancel(p *cmdutil.Factory) *cobra.Command {
	var s inspect.Filter
	cmd := &cobra.Command{
		Use:   "cancel JOB|BATCH... | --batch NAME",
		Short: "Cancel jobs whose API call has not started",
		Long: `cancel ends queued jobs for good: those that are named (ID or ACCOUNT/ID), or those of a batch.
A job whose call was already sent cannot be cancelled: run cancel again for jobs that return to
the queue. No webhook reports a cancelled job.

Exit codes: 0 nothing of what is named goes on; 1 some jobs do, or there is no such job or
batch; 2 wrong usage; 3 Redis did not answer.`,
		Example: `  camsq cancel order-7
  camsq cancel --batch tenants --account eu`,
		RunE: func(cmd *cobra.Command, args []string) error { return cancel(p, cmd, args, s) },
	}
	f := cmd.Flags()
	f.StringVar(&s.Batch, "batch", "", "the queued jobs of the batch of this `name`")
	f.StringVar(&s.Account, "account", "", "with --batch: only those of the account of this `name`")
	cmdutil.AddSettings(cmd, config.Client|config.Operator)
	return cmd
}

func cancel(f *cmdutil.Factory, cmd *cobra.Command, names []string, s inspect.Filter) error {
	switch {
	case len(names) == 0 && s.Batch == "":
		return exit.Usagef("cancel needs jobs or a batch; see camsq cancel --help")
	case len(names) > 0 && s != inspect.Filter{}:
		return exit.Usagef("cancel takes either names or --batch and --account")
	}
	a, err := f.AppFor(cmd, ledger.Operating)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx := cmd.Context()
	w := &work{Factory: f, node: a, list: inspect.ListOfState(tasks.StateQueued), do: cmdutil.Operator(a, f).Cancel, done: "cancelled", orBatch: true}
	if len(names) == 0 {
		return w.cancelBatch(ctx, s)
	}
	var jobs []string
	failed := false
	for _, name := range names {
		counts, _, err := a.Batch(ctx, inspect.Filter{Batch: name})
		if err != nil {
			return err
		}
		if counts == nil {
			jobs = append(jobs, name)
			continue
		}
		twins, err := a.FindJobs(ctx, name)
		switch {
		case err != nil:
			return a.RedisError(ctx, err)
		case len(twins) > 0:
			return exit.Usagef("%s is a batch and also job %s: give --batch for the one, ACCOUNT/ID for the other", name, twins[0].Job)
		}
		if err := w.cancelBatch(ctx, inspect.Filter{Batch: name}); errors.Is(err, exit.ErrSomeFailed) {
			failed = true
		} else if err != nil {
			return err
		}
	}
	if len(jobs) > 0 {
		if err := w.named(ctx, jobs); err != nil {
			return err
		}
	}
	if failed {
		return exit.ErrSomeFailed
	}
	return nil
}

// cancelBatch cancels the queued jobs of a batch, and reports those that go on.
func (w *work) cancelBatch(ctx context.Context, s inspect.Filter) error {
	counts, open, err := w.node.Batch(ctx, s)
	if err != nil {
		return err
	}
	if counts == nil {
		return exit.With(exit.CodeSomeFailed, fmt.Errorf("there is no batch %q%s", s.Batch, inspect.Filter{Account: s.Account}))
	}
	if inspect.OpenJobs(counts) == 0 {
		fmt.Fprintf(w.Stdout, "There is nothing left to cancel%s: %s.\n", s, counts)
		w.neverSent(s.Batch, open)
		return nil
	}
	if err := w.all(ctx, s); err != nil {
		return err
	}
	if counts, open, err = w.node.Batch(ctx, s); err != nil {
		return err
	}
	w.neverSent(s.Batch, open)
	on := inspect.StateCounts{}
	for state, n := range counts {
		if !inspect.Terminal(state) {
			on[state] = n
		}
	}
	if on.Sum() == 0 {
		return nil
	}
	fmt.Fprintf(w.Stderr, "camsq: %s of batch %s could not be cancelled (%s): their call was already sent; run this again later\n",
		humanize.Plural(on.Sum(), "job"), humanize.Sanitize(s.Batch), on)
	return exit.ErrSomeFailed
}

// neverSent tells of the rows that cancel does not reach, if a batch is open for them.
func (w *work) neverSent(batch string, open bool) {
	if open {
		fmt.Fprintf(w.Stderr, "camsq: batch %s is not closed: rows that were never sent are not cancelled; sending the file again would queue them\n", humanize.Sanitize(batch))
	}
}

func NewResolve(p *cmdutil.Factory) *cobra.Command {
	var o resolveOptions
	cmd := &cobra.Command{
		Use:   "resolve JOB --created INSTANCE_ID | --absent | --failed",
		Short: "Decide how a held job ended",
		Long: `resolve decides how a held job (ID or ACCOUNT/ID) ended:

  --created ID  the instance of that ID is the job's: it is recorded and reported as created
  --absent      none of the instances in question is the job's: it goes back into the queue with
                another budget, is looked up once more, and is called again if there is none
  --failed      the job is given up

Exit codes: 0 it is done; 1 it is not, and stderr says why; 2 wrong usage; 3 Redis did not answer.`,
		Example: `  camsq resolve order-7 --created cams-xxxx --note "seen in the console"
  camsq resolve default/order-8 --absent`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Usagef("resolve takes exactly one job, not %d; see camsq resolve --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return resolve(p, cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.created, "created", "", "the `ID` of the job's instance")
	f.BoolVar(&o.absent, "absent", false, "the job has no instance: try again")
	f.BoolVar(&o.failed, "failed", false, "give the job up")
	f.BoolVar(&o.other, "other", false, "with --created: an instance that is not among those in question")
	f.StringVar(&o.note, "note", "", "`text` for the record; the webhook contains it, so nothing personal")
	cmd.MarkFlagsOneRequired("created", "absent", "failed")
	cmd.MarkFlagsMutuallyExclusive("created", "absent", "failed")
	cmdutil.AddSettings(cmd, config.Client|config.Operator)
	return cmd
}

type resolveOptions struct {
	created               string
	absent, failed, other bool
	note                  string
}

// decision checks what the operator typed.
func (o resolveOptions) decision() (operate.Decision, error) {
	d := operate.Decision{Note: humanize.Sanitize(o.note), Other: o.other}
	switch {
	case len(d.Note) > operate.MaxNote:
		return d, exit.Usagef("--note has %d bytes; it may have up to %d", len(d.Note), operate.MaxNote)
	case o.absent:
		d.By = tasks.StepResolveAbsent
	case o.failed:
		d.By = tasks.StepResolveFailed
	default:
		d.By, d.InstanceID = tasks.StepResolveCreated, o.created
		if o.created == "" || len(o.created) > 128 || strings.Join(strings.Fields(humanize.Sanitize(o.created)), "") != o.created {
			return d, exit.Usagef("--created %q: an instance ID has 1 to 128 characters and no spaces", o.created)
		}
	}
	return d, nil
}

func resolve(f *cmdutil.Factory, cmd *cobra.Command, name string, o resolveOptions) error {
	d, err := o.decision()
	if err != nil {
		return err
	}
	a, err := f.AppFor(cmd, ledger.Operating)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx := cmd.Context()
	job, err := a.OneJob(ctx, name, false)
	if err != nil {
		return err
	}
	r, err := cmdutil.Operator(a, f).Resolve(ctx, tasks.Ref{Account: job.Account, ID: job.ID}, d)
	if other, ok := errors.AsType[*operate.NotCandidateError](err); ok {
		return exit.Usagef("--created %s: it is not among the instances in question (%s); add --other if it is the job's all the same",
			other.InstanceID, strings.Join(other.Candidates, ", "))
	}
	if err != nil {
		return refusal(ctx, a.Model, err)
	}
	fmt.Fprintf(f.Stdout, "Job %s is %s: %s\n", r.Ref(), r.State, humanize.Sanitize(r.Message))
	return nil
}

// refusal tells what is wrong with a job from a Redis that is away.
func refusal(ctx context.Context, m *inspect.Model, err error) error {
	_, refused := errors.AsType[*operate.RefusedError](err)
	for _, about := range []error{tasks.ErrNotFound, tasks.ErrUnreadable, tasks.ErrConflict, tasks.ErrClaimed} {
		refused = refused || errors.Is(err, about)
	}
	if refused {
		return exit.With(exit.CodeSomeFailed, err)
	}
	return m.RedisError(ctx, err)
}

// work is one thing that is done with many jobs.
type work struct {
	*cmdutil.Factory
	node *app.App
	list inspect.ListSpec
	do   func(context.Context, ...operate.Target) []error
	// done says what was done with a job.
	done string
	// orBatch says that a name could have been that of a batch.
	orBatch bool
}

// named does it with the jobs of these names, and says why it could not be done
// with some.
func (w *work) named(ctx context.Context, names []string) error {
	var targets []operate.Target
	failed := false
	for _, name := range names {
		target, err := w.find(ctx, name)
		if ends(ctx, err) {
			return err
		}
		if err != nil {
			failed = true
			fmt.Fprintln(w.Stderr, "camsq:", err)
			continue
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	for i, err := range w.do(ctx, targets...) {
		if err == nil {
			fmt.Fprintf(w.Stdout, "%s: %s\n", targets[i], w.done)
			continue
		}
		failed = true
		if err = refusal(ctx, w.node.Model, err); ends(ctx, err) {
			return err
		}
		fmt.Fprintln(w.Stderr, "camsq:", err)
	}
	if failed {
		return exit.ErrSomeFailed
	}
	return nil
}

// find finds the one job of a name, or the completed batch if the list has such.
func (w *work) find(ctx context.Context, name string) (operate.Target, error) {
	if batch, err := tasks.ParseBatchRef(name); err == nil && w.list.Batches != "" {
		switch _, err := w.node.Ledger.Completion(ctx, batch); {
		case inspect.IsNotFound(err):
			return operate.Target{}, exit.With(exit.CodeSomeFailed, fmt.Errorf("there is no completed batch %q", name))
		case err != nil:
			return operate.Target{}, refusal(ctx, w.node.Model, err)
		}
		return operate.Completion(batch), nil
	}
	job, err := w.node.OneJob(ctx, name, w.orBatch)
	return operate.Job(tasks.Ref{Account: job.Account, ID: job.ID}), err
}

// ends says whether an error is not about one job.
func ends(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*exit.Error](err)
	return ok && (e.Code != exit.CodeSomeFailed || ctx.Err() != nil)
}

// all does it with all jobs of the list that are meant. It says how many first.
func (w *work) all(ctx context.Context, s inspect.Filter) error {
	var counts inspect.CodeCounts
	for page, err := range w.node.Pages(ctx, w.list, s) {
		if err != nil {
			return err
		}
		counts.Add(w.list, page)
	}
	if counts.Sum == 0 {
		fmt.Fprintf(w.Stdout, "There is no %s%s.\n", w.list.Noun, s)
		return w.node.Skipped(ctx)
	}
	printCauses(&counts, w.Stdout, w.list, s)
	var done, moved, bad int64
	for page, err := range w.node.Pages(ctx, w.list, s) {
		if err != nil {
			return w.stopped(err, done)
		}
		targets := make([]operate.Target, len(page))
		for i, f := range page {
			targets[i] = targetOf(f.Record)
		}
		var broken error
		for _, err := range w.do(ctx, targets...) {
			_, refused := errors.AsType[*operate.RefusedError](err)
			switch {
			case err == nil:
				done++
			case refused, inspect.IsNotFound(err):
				moved++
			default:
				if err = refusal(ctx, w.node.Model, err); ends(ctx, err) {
					broken = err
					continue
				}
				bad++
				fmt.Fprintln(w.Stderr, "camsq:", err)
			}
		}
		if broken != nil {
			return w.stopped(broken, done)
		}
	}
	// Between the two readings of the list jobs leave it, and others come to it.
	came := max(0, done+moved+bad-counts.Sum)
	moved += max(0, counts.Sum-done-moved-bad)
	fmt.Fprintf(w.Stdout, "%s %s", humanize.Group(done), w.done)
	if came > 0 {
		fmt.Fprintf(w.Stdout, ", with %s that came meanwhile", humanize.Group(came))
	}
	fmt.Fprintln(w.Stdout, ".")
	if moved > 0 {
		fmt.Fprintf(w.Stdout, "%s had gone on meanwhile.\n", humanize.Group(moved))
	}
	if bad > 0 {
		return exit.ErrSomeFailed
	}
	return w.node.Skipped(ctx)
}

// stopped adds to an error in the middle of the work what holds.
func (w *work) stopped(err error, done int64) error {
	if e, ok := errors.AsType[*exit.Error](err); ok {
		return exit.With(e.Code, fmt.Errorf("%s %s, then: %w; run it again for the rest", humanize.Group(done), w.done, e.Err))
	}
	return err
}
