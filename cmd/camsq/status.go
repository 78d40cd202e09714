package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// lastBatches is how many batches of each account the overview names.
const lastBatches = 5

func (p *program) statusCommand() *cobra.Command {
	asJSON, wait := false, false
	cmd := &cobra.Command{
		Use:   "status [JOB|BATCH]",
		Short: "Show where everything, a job, or a batch stands",
		Long: `status shows where the jobs of every account stand, or one job (ID or ACCOUNT/ID), or one batch.

  queued     waits for its turn, its backoff, or the account's quota
  calling    the call is being made
  uncertain  the answer was lost; the instance is looked for before anything else is done
  held       only a person can tell how it ended: camsq held
  created    has its one instance
  failed     has no instance and is not tried again by itself: camsq failed
  cancelled  was withdrawn

Of a batch it tells besides why jobs failed, how long the rest needs at the account's pace in
force, and whether it was completed: its producer has sent the last job (camsq enqueue says so at
the end of a file), and every job has ended, also those that were held. With --wait it follows the
batch until no job of it goes further by itself.

Exit codes: 0 it was found, however it stands; 1 there is no such job or batch, or, with --wait,
some jobs have no instance in the end, or the wait was stopped with Ctrl-C; 2 wrong usage;
3 Redis did not answer.`,
		Example: `  camsq status
  camsq status tenants
  camsq status --wait tenants
  camsq status --json default/order-7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("status takes one job or batch, and here are %d", len(args))
			}
			if wait && len(args) == 0 {
				return usage("--wait needs a batch to follow: camsq status --wait BATCH")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := p.reached(cmd)
			if err != nil {
				return err
			}
			defer n.close()
			if len(args) == 0 {
				return p.overview(cmd.Context(), n, asJSON)
			}
			if wait {
				return p.waitFor(cmd.Context(), n, args[0], asJSON)
			}
			return p.statusOf(cmd.Context(), n, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&wait, "wait", false, "follow it until nothing goes further by itself; Ctrl-C stops following, not the jobs")
	return cmd
}

// accountStatus is one account in the overview. Its JSON is public.
type accountStatus struct {
	Account string `json:"account"`
	// Configured says whether the settings of this process name the account.
	Configured bool `json:"configured"`
	// Jobs counts by state; of the final states, all that ever ended so.
	Jobs tally `json:"jobs"`
	// Lane is how the account is paced, and what holds it back.
	Lane laneStatus `json:"lane"`
	// OldestSeconds is how long the oldest job of a state has been in it.
	OldestSeconds map[tasks.State]int64 `json:"oldest_seconds"`
	Callbacks     callbackCounts        `json:"callbacks"`
	Batches       []batchStatus         `json:"batches"`
	facts         laneFacts             `json:"-"`
}

type callbackCounts struct {
	Owed              int64 `json:"owed"`
	OldestOwedSeconds int64 `json:"oldest_owed_seconds"`
	Dead              int64 `json:"dead"`
}

func (p *program) overview(ctx context.Context, n *node, asJSON bool) error {
	names, err := n.accounts(ctx)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	found := make([]accountStatus, len(names))
	errs := eachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		found[i], err = n.accountStatus(ctx, names[i])
		return err
	})
	var all []accountStatus
	for i, name := range names {
		if errs[i] != nil && !n.miss(ctx, name, errs[i]) {
			return n.noAnswer(ctx, errs[i])
		}
		if errs[i] == nil {
			found[i].Configured = slices.Contains(n.config.names(), name)
			all = append(all, found[i])
		}
	}
	if len(all) == 0 {
		return n.missing(ctx)
	}
	if asJSON {
		if err := encodeJSON(p.stdout, map[string]any{"accounts": all}); err != nil {
			return err
		}
		return n.missing(ctx)
	}
	printOverview(p.stdout, all)
	if text := n.fullest(ctx, all); text != "" {
		fmt.Fprintf(p.stdout, "\n%s\n", text)
	}
	return n.missing(ctx)
}

func (n *model) accountStatus(ctx context.Context, name string) (accountStatus, error) {
	o, err := n.ledger.Overview(ctx, name)
	if err != nil {
		return accountStatus{}, err
	}
	s := accountStatus{
		Account: name, Jobs: o.Jobs, OldestSeconds: map[tasks.State]int64{}, Batches: []batchStatus{},
		Callbacks: callbackCounts{Owed: o.Owed, Dead: o.Dead, OldestOwedSeconds: int64(o.OldestOwed.Seconds())},
	}
	for state, age := range o.Oldest {
		if o.Jobs[state] > 0 {
			s.OldestSeconds[state] = int64(age.Seconds())
		}
	}
	if s.facts, err = n.laneFacts(ctx, name); err != nil {
		return accountStatus{}, err
	}
	s.Lane = s.facts.status()
	names, err := n.ledger.Batches(ctx, name, lastBatches)
	if err != nil {
		return accountStatus{}, err
	}
	for _, batch := range names {
		b, err := n.ledger.Batch(ctx, name, batch)
		if err != nil {
			return accountStatus{}, err
		}
		if b != nil {
			s.Batches = append(s.Batches, newBatchStatus(b))
		}
	}
	return s, nil
}

// fullest tells of the fullest server of the accounts' if it is too full, or is "".
func (n *model) fullest(ctx context.Context, all []accountStatus) string {
	used, most := make([]int64, len(all)), make([]int64, len(all))
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.Account
	}
	_ = eachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		used[i], most[i], err = n.queue.Memory(ctx, names[i])
		return err // what does not tell is not full
	})
	worst := 0
	for i := range all {
		if float64(used[i])*float64(max(most[worst], 1)) > float64(used[worst])*float64(max(most[i], 1)) {
			worst = i
		}
	}
	if len(all) == 0 {
		return ""
	}
	return fullness("Redis", used[worst], most[worst])
}

func printOverview(w io.Writer, all []accountStatus) {
	rows := [][]string{stateColumns("ACCOUNT")}
	var notes []string
	batches := [][]string{stateColumns("LAST BATCHES", "ACCOUNT")}
	for _, a := range all {
		rows = append(rows, stateCells(a.Jobs, a.Account))
		notes = append(notes, a.notes()...)
		for _, b := range a.Batches {
			batches = append(batches, stateCells(b.Jobs, plain(b.Batch), b.Account))
		}
	}
	printTable(w, 1, rows)
	if len(notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range notes {
		fmt.Fprintln(w, note)
	}
	if len(batches) > 1 {
		fmt.Fprintln(w)
		printTable(w, 2, batches)
	}
}

// notes are what a person should know beside the numbers.
func (a accountStatus) notes() []string {
	age := func(seconds int64) string { return span(time.Duration(seconds) * time.Second) }
	var out []string
	add := func(format string, args ...any) { out = append(out, a.Account+": "+fmt.Sprintf(format, args...)) }
	if !a.Configured {
		add("not configured here; its jobs wait for a worker that knows the account")
	}
	for _, note := range a.facts.notes() {
		add("%s", note)
	}
	if a.Jobs[tasks.StateQueued] > 0 {
		add("the oldest queued job has been there for %s", age(a.OldestSeconds[tasks.StateQueued]))
	}
	if n := a.Jobs[tasks.StateUncertain]; n > 0 {
		add("%s without an answer, the oldest for %s; the instances are being looked for", plural(n, "job"), age(a.OldestSeconds[tasks.StateUncertain]))
	}
	if n := a.Jobs[tasks.StateHeld]; n > 0 {
		add("%s held until a person decides, the oldest for %s: camsq held", plural(n, "job"), age(a.OldestSeconds[tasks.StateHeld]))
	}
	if n := a.Callbacks.Owed; n > 0 {
		add("%s still owed, the oldest for %s", plural(n, "callback"), age(a.Callbacks.OldestOwedSeconds))
	}
	if n := a.Callbacks.Dead; n > 0 {
		add("%s given up after every try failed: camsq failed --callbacks", plural(n, "callback"))
	}
	return out
}

func stateColumns(first ...string) []string {
	for _, s := range tasks.States() {
		first = append(first, strings.ToUpper(string(s)))
	}
	return first
}

func stateCells(jobs tally, first ...string) []string {
	for _, s := range tasks.States() {
		first = append(first, thousands(jobs[s]))
	}
	return first
}

// jobStatus is one job. Its JSON is public.
type jobStatus struct {
	Job          string         `json:"job"`
	Account      string         `json:"account"`
	ID           string         `json:"id"`
	Batch        string         `json:"batch"`
	Priority     tasks.Priority `json:"priority,omitempty"`
	State        tasks.State    `json:"state"`
	Since        time.Time      `json:"since,omitzero"`
	EnqueuedAt   time.Time      `json:"enqueued_at,omitzero"`
	ChannelType  string         `json:"channel_type"`
	InstanceName string         `json:"instance_name"`
	InstanceID   string         `json:"instance_id"`
	Adopted      bool           `json:"adopted"`
	Candidates   []string       `json:"candidates"`
	Tries        int            `json:"tries"`
	Code         string         `json:"code"`
	Message      string         `json:"message"`
	RequestID    string         `json:"request_id"`
	Callback     callbackStatus `json:"callback"`
	Next         string         `json:"next"`
	now          time.Time      `json:"-"`
}

type callbackStatus struct {
	State  tasks.CallbackState `json:"state"`
	Tries  int                 `json:"tries"`
	Reason string              `json:"reason"`
}

// statusOf shows what goes by the name: jobs, batches, or both.
func (p *program) statusOf(ctx context.Context, n *node, name string, asJSON bool) error {
	jobs, err := n.findJobs(ctx, name)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	found, err := n.batchesOf(ctx, name)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	if len(jobs)+len(found) == 0 {
		return n.nothing(ctx, name)
	}
	batches := []batchStatus{}
	for _, b := range found {
		s, err := n.batchStatus(ctx, b)
		if err != nil {
			return n.noAnswer(ctx, err)
		}
		batches = append(batches, s)
	}
	if asJSON {
		return encodeJSON(p.stdout, map[string]any{"jobs": jobs, "batches": batches})
	}
	for i, j := range jobs {
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		j.print(p.stdout)
	}
	if len(batches) == 0 {
		return nil
	}
	if len(jobs) > 0 {
		fmt.Fprintln(p.stdout)
	}
	printBatches(p.stdout, batches)
	return nil
}

// nothing is the error that no job and no batch has the name.
func (n *model) nothing(ctx context.Context, name string) error {
	accounts, err := n.accounts(ctx)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	if err := n.missing(ctx); err != nil {
		return err // it may be there
	}
	return withCode(exitSomeFailed, fmt.Errorf("%q is neither a job nor a batch here; looked in account %s", name, strings.Join(accounts, ", ")))
}

// waitFor follows the batch of that name to its end, or else the job.
func (p *program) waitFor(ctx context.Context, n *node, name string, asJSON bool) error {
	found, err := n.batchesOf(ctx, name)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	hints := func() {
		fmt.Fprintf(p.stdout, "The jobs go on. To follow them again: camsq status --wait %s\n", word(name))
	}
	if len(found) > 0 {
		return p.waitForBatches(ctx, n, []string{name}, asJSON, hints)
	}
	jobs, err := n.findJobs(ctx, name)
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	if len(jobs) == 0 {
		return n.nothing(ctx, name)
	}
	var all []followed
	for _, j := range jobs {
		all = append(all, followed{ref: tasks.Ref{Account: j.Account, ID: j.ID}, state: j.State})
	}
	c := newJobCrowd(n.ledger, all)
	f := p.newFollower(n, c)
	begin := time.Now()
	err = f.follow(ctx)
	f.progress.close()
	if err != nil {
		return p.noLonger(n, err, time.Since(begin), together(c.stand()), hints)
	}
	if err := p.statusOf(ctx, n, name, asJSON); err != nil {
		return err
	}
	if sum := together(c.stand()); sum[tasks.StateCreated] != sum.sum() {
		return errSomeFailed
	}
	return nil
}

// findJobs returns the jobs of that ID in every account, and the one of that
// account and ID. An ID may hold a slash, so both are asked for. Accounts whose part
// of a cluster is away are noted; see [node.missing].
func (n *model) findJobs(ctx context.Context, name string) ([]jobStatus, error) {
	accounts, err := n.accounts(ctx)
	if err != nil {
		return nil, err
	}
	var refs []tasks.Ref
	for _, account := range accounts {
		refs = append(refs, tasks.Ref{Account: account, ID: name})
	}
	if ref, err := tasks.ParseRef(name); err == nil && slices.Contains(accounts, ref.Account) {
		refs = append(refs, ref)
	}
	out := []jobStatus{}
	for _, ref := range refs {
		r, err := n.ledger.Get(ctx, ref)
		if errors.Is(err, tasks.ErrNotFound) {
			continue
		}
		if err != nil && !errors.Is(err, tasks.ErrUnreadable) {
			if n.miss(ctx, ref.Account, err) {
				continue
			}
			return nil, err
		}
		s, err := n.jobStatus(ctx, ledger.Found{Record: r, Err: err})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// jobStatus is what is told of a job that was looked up.
func (n *model) jobStatus(ctx context.Context, f ledger.Found) (jobStatus, error) {
	if f.Err != nil {
		ref := f.Record.Ref()
		return jobStatus{
			Job: ref.String(), Account: ref.Account, ID: ref.ID, State: rowUnreadable, Candidates: []string{}, Message: f.Err.Error(),
			Next: "Its record cannot be read, so the job waits: check CAMSQ_DATA_KEY and the version of camsq.",
		}, nil
	}
	next, err := n.next(ctx, f.Record)
	return newJobStatus(f.Record, next), err
}

func newJobStatus(r tasks.Record, next string) jobStatus {
	s := jobStatus{
		Job: r.Ref().String(), Account: r.Account, ID: r.ID, Batch: r.Batch, Priority: r.Priority,
		State: r.State, Since: r.Since.UTC(), EnqueuedAt: r.EnqueuedAt.UTC(),
		ChannelType: r.Request.ChannelType, InstanceName: r.Request.InstanceName,
		Adopted: r.Adopted, Candidates: append([]string{}, r.Candidates...),
		Tries: r.Tries, Code: r.Code, Message: r.Message, RequestID: r.RequestID,
		Callback: callbackStatus{State: r.Callback.State, Tries: r.Callback.Tries, Reason: r.Callback.Reason},
		Next:     next, now: r.Now,
	}
	if r.Instance != nil {
		s.InstanceID = r.Instance.InstanceID
	}
	return s
}

// next says what a job waits for.
func (n *model) next(ctx context.Context, r tasks.Record) (string, error) {
	switch r.State {
	case tasks.StateQueued:
		before, atLeast, err := n.queue.Position(ctx, r)
		if err != nil {
			return "", err
		}
		facts, err := n.laneFacts(ctx, r.Account)
		if err != nil {
			return "", err
		}
		facts.far = atLeast
		return facts.waits(r, before), nil
	case tasks.StateCalling:
		if r.Wait() > 0 {
			return fmt.Sprintf("The call is being made; how it ended is known in %s at most.", span(r.Wait())), nil
		}
		return "Who was calling did not say how the call ended; a worker will look for the instance.", nil
	case tasks.StateUncertain:
		lane, err := n.laneFacts(ctx, r.Account)
		if err != nil {
			return "", err
		}
		return lane.looks(r.Wait()), nil
	case tasks.StateHeld:
		return fmt.Sprintf("It waits for a person: camsq resolve %s, with --created INSTANCE_ID, --absent or --failed.", word(r.Ref().String())), nil
	case tasks.StateFailed:
		return fmt.Sprintf("It has ended, and is not tried again by itself: camsq retry %s.", word(r.Ref().String())), nil
	case tasks.StateCancelled:
		return "It has ended: somebody withdrew it before it was called.", nil
	case batchCompleted:
		return fmt.Sprintf("Its callback was given up: camsq retry --callbacks %s.", word(r.Ref().String())), nil
	case tasks.StateCreated:
	}
	if r.Callback.State == tasks.CallbackOwed {
		return "It has ended well; only its callback is still owed.", nil
	}
	return "It has ended well; nothing more is to come.", nil
}

func (s jobStatus) print(w io.Writer) {
	fmt.Fprintf(w, "Job %s\n", s.Job)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-11s %s\n", name, plain(value))
		}
	}
	line("state", string(s.State))
	if s.State == rowUnreadable {
		line("reason", s.Message)
	} else {
		line("since", stamp(s.Since, s.now))
		line("accepted", stamp(s.EnqueuedAt, s.now))
		line("batch", s.Batch)
		line("priority", string(s.Priority))
		line("asked for", s.ChannelType+" "+s.InstanceName)
		line("instance", s.instance())
		line("candidates", strings.Join(s.Candidates, ", "))
		line("tries", fmt.Sprint(s.Tries))
		line("answer", strings.TrimSuffix(s.Code+": "+s.Message, ": "))
		line("request ID", s.RequestID)
		line("callback", s.Callback.String())
	}
	fmt.Fprintf(w, "\n%s\n", plain(s.Next))
}

func (s jobStatus) instance() string {
	if s.Adopted {
		return s.InstanceID + " (found by a lookup)"
	}
	return s.InstanceID
}

func (c callbackStatus) String() string {
	text := string(c.State)
	switch c.State {
	case tasks.CallbackNone:
		return ""
	case tasks.CallbackDead:
		text = "given up"
	case tasks.CallbackGone:
		text = "the receiver wants no more"
	case tasks.CallbackOwed, tasks.CallbackDelivered:
	}
	if c.Tries == 1 {
		text += ", 1 try"
	} else if c.Tries > 1 {
		text += fmt.Sprintf(", %d tries", c.Tries)
	}
	if c.Reason != "" && c.State != tasks.CallbackDelivered {
		text += ", the last one: " + c.Reason
	}
	return text
}
