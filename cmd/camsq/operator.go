package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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

func (p *program) retryCommand() *cobra.Command {
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
		RunE: func(cmd *cobra.Command, args []string) error { return p.retry(cmd, args, o) },
	}
	f := cmd.Flags()
	o.filter.flags(f)
	f.BoolVar(&o.all, "all", false, "all of them")
	f.BoolVar(&o.callbacks, "callbacks", false, "callbacks that were given up instead of failed jobs")
	return cmd
}

type retryOptions struct {
	filter
	all, callbacks bool
}

func (p *program) retry(cmd *cobra.Command, names []string, o retryOptions) error {
	many := o.all || o.batch != "" || o.code != ""
	switch {
	case len(names) == 0 && !many:
		return usage("retry needs jobs, or --batch, --code or --all; see camsq retry --help")
	case len(names) > 0 && (many || o.account != ""):
		return usage("retry takes either jobs or --batch, --code, --account and --all")
	}
	n, err := p.reachedFor(cmd, ledger.Operating)
	if err != nil {
		return err
	}
	defer n.close()
	w := &work{program: p, node: n, list: listOfState(tasks.StateFailed), do: n.operator(p).Retry, done: "put back into the queue"}
	if o.callbacks {
		w.list, w.do, w.done = listOfDeadCallbacks(), n.operator(p).Replay, "to be told again"
	}
	if many {
		return w.all(cmd.Context(), o.filter)
	}
	return w.named(cmd.Context(), names)
}

func (p *program) cancelCommand() *cobra.Command {
	var s filter
	cmd := &cobra.Command{
		Use:   "cancel JOB|BATCH... | --batch NAME",
		Short: "Withdraw jobs that have not been called",
		Long: `cancel withdraws queued jobs, for good: those that are named (ID or ACCOUNT/ID), or those of a
batch. A job whose call is being made, or looked up, cannot be withdrawn: what it made cannot be
taken back. Run cancel again for those that return to the queue. No webhook tells of it.

Exit codes: 0 nothing of what is named goes on; 1 some jobs do, or there is no such job or
batch; 2 wrong usage; 3 Redis did not answer.`,
		Example: `  camsq cancel order-7
  camsq cancel --batch tenants --account eu`,
		RunE: func(cmd *cobra.Command, args []string) error { return p.cancel(cmd, args, s) },
	}
	f := cmd.Flags()
	f.StringVar(&s.batch, "batch", "", "the queued jobs of the batch of this `name`")
	f.StringVar(&s.account, "account", "", "with --batch: only those of the account of this `name`")
	return cmd
}

func (p *program) cancel(cmd *cobra.Command, names []string, s filter) error {
	switch {
	case len(names) == 0 && s.batch == "":
		return usage("cancel needs jobs or a batch; see camsq cancel --help")
	case len(names) > 0 && s != filter{}:
		return usage("cancel takes either names or --batch and --account")
	}
	n, err := p.reachedFor(cmd, ledger.Operating)
	if err != nil {
		return err
	}
	defer n.close()
	ctx := cmd.Context()
	w := &work{program: p, node: n, list: listOfState(tasks.StateQueued), do: n.operator(p).Cancel, done: "withdrawn", orBatch: true}
	if len(names) == 0 {
		return w.cancelBatch(ctx, s)
	}
	var jobs []string
	failed := false
	for _, name := range names {
		counts, _, err := n.batch(ctx, filter{batch: name})
		if err != nil {
			return err
		}
		if counts == nil {
			jobs = append(jobs, name)
			continue
		}
		twins, err := n.findJobs(ctx, name)
		switch {
		case err != nil:
			return n.noAnswer(ctx, err)
		case len(twins) > 0:
			return usage("%s is a batch and also job %s: give --batch for the one, ACCOUNT/ID for the other", name, twins[0].Job)
		}
		if err := w.cancelBatch(ctx, filter{batch: name}); errors.Is(err, errSomeFailed) {
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
		return errSomeFailed
	}
	return nil
}

// cancelBatch withdraws what is queued of a batch, and tells of what goes on.
func (w *work) cancelBatch(ctx context.Context, s filter) error {
	counts, open, err := w.node.batch(ctx, s)
	if err != nil {
		return err
	}
	if counts == nil {
		return withCode(exitSomeFailed, fmt.Errorf("there is no batch %q%s", s.batch, filter{account: s.account}))
	}
	if unsettled(counts) == 0 {
		fmt.Fprintf(w.stdout, "There is nothing left to withdraw%s: %s.\n", s, counts)
		w.neverSent(s.batch, open)
		return nil
	}
	if err := w.all(ctx, s); err != nil {
		return err
	}
	if counts, open, err = w.node.batch(ctx, s); err != nil {
		return err
	}
	w.neverSent(s.batch, open)
	on := tally{}
	for state, n := range counts {
		if !settled(state) {
			on[state] = n
		}
	}
	if on.sum() == 0 {
		return nil
	}
	fmt.Fprintf(w.stderr, "camsq: %s of batch %s go on (%s): a call cannot be taken back; run it again for those that return to the queue\n",
		plural(on.sum(), "job"), plain(s.batch), on)
	return errSomeFailed
}

// neverSent tells of the rows that cancel does not reach, if a batch is open for them.
func (w *work) neverSent(batch string, open bool) {
	if open {
		fmt.Fprintf(w.stderr, "camsq: batch %s is not closed: rows that were never sent are not withdrawn; sending the file again would queue them\n", plain(batch))
	}
}

// batch counts the jobs of a batch in the accounts that are meant, and is nil if
// there is none. open says that it is not closed in one of them.
func (n *model) batch(ctx context.Context, s filter) (sum tally, open bool, err error) {
	accounts, err := n.accountsOf(ctx, s)
	if err != nil {
		return nil, false, err
	}
	for _, account := range accounts {
		b, err := n.ledger.Batch(ctx, account, s.batch)
		if err != nil && n.miss(ctx, account, err) {
			continue
		}
		if err != nil {
			return nil, false, n.noAnswer(ctx, err)
		}
		if b == nil {
			continue
		}
		if sum == nil {
			sum = tally{}
		}
		open = open || b.Closed.IsZero()
		for state, count := range b.Jobs {
			sum[state] += count
		}
	}
	return sum, open, nil
}

func (p *program) resolveCommand() *cobra.Command {
	var o resolveOptions
	cmd := &cobra.Command{
		Use:   "resolve JOB --created INSTANCE_ID | --absent | --failed",
		Short: "Say how a held job ended",
		Long: `resolve ends the wait of a held job (ID or ACCOUNT/ID) with what a person knows:

  --created ID  the instance of that ID is the job's: it is recorded and told as created
  --absent      none of the instances in question is the job's: it goes back into the queue with
                another budget, is looked up once more, and is called again if there is none
  --failed      the job is given up

Exit codes: 0 it is done; 1 it is not, and stderr says why; 2 wrong usage; 3 Redis did not answer.`,
		Example: `  camsq resolve order-7 --created cams-xxxx --note "seen in the console"
  camsq resolve default/order-8 --absent`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("resolve takes one job, and here are %d; see camsq resolve --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return p.resolve(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.created, "created", "", "the `ID` of the job's instance")
	// This one hides the setting of the same name, of which resolve makes no use.
	f.BoolVar(&o.absent, "absent", false, "the job has no instance: try again")
	f.BoolVar(&o.failed, "failed", false, "give the job up")
	f.BoolVar(&o.other, "other", false, "with --created: an instance that is not among those in question")
	f.StringVar(&o.note, "note", "", "`text` for the record; the webhook tells it, so nothing personal")
	cmd.MarkFlagsOneRequired("created", "absent", "failed")
	cmd.MarkFlagsMutuallyExclusive("created", "absent", "failed")
	return cmd
}

type resolveOptions struct {
	created               string
	absent, failed, other bool
	note                  string
}

// decision checks what a person typed.
func (o resolveOptions) decision() (operate.Decision, error) {
	d := operate.Decision{Note: plain(o.note), Other: o.other}
	switch {
	case len(d.Note) > operate.MaxNote:
		return d, usage("--note has %d bytes; it may have up to %d", len(d.Note), operate.MaxNote)
	case o.absent:
		d.By = tasks.StepResolveAbsent
	case o.failed:
		d.By = tasks.StepResolveFailed
	default:
		d.By, d.InstanceID = tasks.StepResolveCreated, o.created
		if o.created == "" || len(o.created) > 128 || strings.Join(strings.Fields(plain(o.created)), "") != o.created {
			return d, usage("--created %q: an instance ID has 1 to 128 characters and no spaces", o.created)
		}
	}
	return d, nil
}

func (p *program) resolve(cmd *cobra.Command, name string, o resolveOptions) error {
	d, err := o.decision()
	if err != nil {
		return err
	}
	n, err := p.reachedFor(cmd, ledger.Operating)
	if err != nil {
		return err
	}
	defer n.close()
	ctx := cmd.Context()
	job, err := n.oneJob(ctx, name, false)
	if err != nil {
		return err
	}
	r, err := n.operator(p).Resolve(ctx, tasks.Ref{Account: job.Account, ID: job.ID}, d)
	if other, ok := errors.AsType[*operate.NotCandidateError](err); ok {
		return usage("--created %s: it is not among the instances in question (%s); add --other if it is the job's all the same",
			other.InstanceID, strings.Join(other.Candidates, ", "))
	}
	if err != nil {
		return n.refusal(ctx, err)
	}
	fmt.Fprintf(p.stdout, "Job %s is %s: %s\n", r.Ref(), r.State, plain(r.Message))
	return nil
}

func (n *node) operator(p *program) operate.Operator {
	return operate.Operator{
		Store: n.ledger, Queue: n.queue, Lanes: n.ledger,
		Receiver: func(name string) string {
			for _, a := range n.config.Accounts {
				if a.Name == name {
					return a.CallbackURL
				}
			}
			return ""
		},
		Log: slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// oneJob finds the job of that name. Its error is an [*exitError].
func (n *model) oneJob(ctx context.Context, name string, orBatch bool) (jobStatus, error) {
	what := "no job"
	if orBatch {
		what = "no job or batch"
	}
	jobs, err := n.findJobs(ctx, name)
	switch {
	case err != nil:
		return jobStatus{}, n.noAnswer(ctx, err)
	case len(jobs) == 0 && n.missing(ctx) != nil:
		return jobStatus{}, n.missing(ctx) // it may be there
	case len(jobs) == 0:
		return jobStatus{}, withCode(exitSomeFailed, fmt.Errorf("there is %s %q; looked in account %s", what, name, strings.Join(n.config.names(), ", ")))
	case len(jobs) > 1:
		return jobStatus{}, withCode(exitSomeFailed, fmt.Errorf("%q is job %s and also job %s; name it as ACCOUNT/ID", name, jobs[0].Job, jobs[1].Job))
	}
	return jobs[0], nil
}

// refusal tells what is wrong with a job from a Redis that is away.
func (n *model) refusal(ctx context.Context, err error) error {
	_, refused := errors.AsType[*operate.RefusedError](err)
	for _, about := range []error{tasks.ErrNotFound, tasks.ErrUnreadable, tasks.ErrConflict, tasks.ErrClaimed} {
		refused = refused || errors.Is(err, about)
	}
	if refused {
		return withCode(exitSomeFailed, err)
	}
	return n.noAnswer(ctx, err)
}

// work is one thing that is done with many jobs.
type work struct {
	*program
	node *node
	list jobList
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
			fmt.Fprintln(w.stderr, "camsq:", err)
			continue
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	for i, err := range w.do(ctx, targets...) {
		if err == nil {
			fmt.Fprintf(w.stdout, "%s: %s\n", targets[i], w.done)
			continue
		}
		failed = true
		if err = w.node.refusal(ctx, err); ends(ctx, err) {
			return err
		}
		fmt.Fprintln(w.stderr, "camsq:", err)
	}
	if failed {
		return errSomeFailed
	}
	return nil
}

// find finds the one job of a name, or the completed batch if the list has such.
func (w *work) find(ctx context.Context, name string) (operate.Target, error) {
	if batch, err := tasks.ParseBatchRef(name); err == nil && w.list.batches != "" {
		switch _, err := w.node.ledger.Completion(ctx, batch); {
		case isNotFound(err):
			return operate.Target{}, withCode(exitSomeFailed, fmt.Errorf("there is no completed batch %q", name))
		case err != nil:
			return operate.Target{}, w.node.refusal(ctx, err)
		}
		return operate.Completion(batch), nil
	}
	job, err := w.node.oneJob(ctx, name, w.orBatch)
	return operate.Job(tasks.Ref{Account: job.Account, ID: job.ID}), err
}

// ends says whether an error is not about one job.
func ends(ctx context.Context, err error) bool {
	e, ok := errors.AsType[*exitError](err)
	return ok && (e.code != exitSomeFailed || ctx.Err() != nil)
}

// all does it with all jobs of the list that are meant. It says how many first.
func (w *work) all(ctx context.Context, s filter) error {
	var counts causes
	for page, err := range w.node.read(ctx, w.list, s) {
		if err != nil {
			return err
		}
		counts.add(w.list, page)
	}
	if counts.sum == 0 {
		fmt.Fprintf(w.stdout, "There is no %s%s.\n", w.list.one, s)
		return w.node.missing(ctx)
	}
	counts.print(w.stdout, w.list, s)
	var done, moved, bad int64
	for page, err := range w.node.read(ctx, w.list, s) {
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
			case refused, isNotFound(err):
				moved++
			default:
				if err = w.node.refusal(ctx, err); ends(ctx, err) {
					broken = err
					continue
				}
				bad++
				fmt.Fprintln(w.stderr, "camsq:", err)
			}
		}
		if broken != nil {
			return w.stopped(broken, done)
		}
	}
	// Between the two readings of the list jobs leave it, and others come to it.
	came := max(0, done+moved+bad-counts.sum)
	moved += max(0, counts.sum-done-moved-bad)
	fmt.Fprintf(w.stdout, "%s %s", thousands(done), w.done)
	if came > 0 {
		fmt.Fprintf(w.stdout, ", with %s that came meanwhile", thousands(came))
	}
	fmt.Fprintln(w.stdout, ".")
	if moved > 0 {
		fmt.Fprintf(w.stdout, "%s had gone on meanwhile.\n", thousands(moved))
	}
	if bad > 0 {
		return errSomeFailed
	}
	return w.node.missing(ctx)
}

// stopped adds to an error in the middle of the work what holds.
func (w *work) stopped(err error, done int64) error {
	if e, ok := errors.AsType[*exitError](err); ok {
		return withCode(e.code, fmt.Errorf("%s %s, then: %w; run it again for the rest", thousands(done), w.done, e.err))
	}
	return err
}
