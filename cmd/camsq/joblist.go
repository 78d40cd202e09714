package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
)

func (p *program) heldCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "held",
		Short: "List the jobs that wait for a person to say how they ended",
		Long: `held counts the jobs of which only a person can tell how they ended, and lists the newest.
docs/runbook.md says what to look at; camsq resolve decides.

` + listHelp,
		Example: `  camsq held
  camsq held --json --account default`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.list(cmd, listOfState(tasks.StateHeld), o) },
	}
	o.flags(cmd)
	return cmd
}

func (p *program) failedCommand() *cobra.Command {
	var o listOptions
	callbacks := false
	cmd := &cobra.Command{
		Use:   "failed",
		Short: "List the jobs that failed, or the callbacks that were given up",
		Long: `failed counts the jobs that ended without an instance, and lists the newest. None is ever
left out: they are there for as long as records are kept (CAMSQ_KEEP). camsq retry puts
them back. With --callbacks it lists the callbacks that were given up; their code is the
reason why the last try failed. Those of completed batches stand there as ACCOUNT/BATCH#NUMBER.

` + listHelp,
		Example: `  camsq failed --code camsq.TriesSpent --all
  camsq failed --batch tenants --json
  camsq failed --callbacks`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if callbacks {
				return p.list(cmd, listOfDeadCallbacks(), o)
			}
			return p.list(cmd, listOfState(tasks.StateFailed), o)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&callbacks, "callbacks", false, "list the callbacks that were given up")
	return cmd
}

const listHelp = `With --json there is one JSON object on each line, with the fields of camsq status --json, and
no counts: every job that matches, or as many as --limit says.

Exit codes: 0 they are listed, however many; 2 wrong usage; 3 Redis did not answer.`

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, and here is %q; see camsq %s --help", cmd.Name(), args[0], cmd.Name())
	}
	return nil
}

type listOptions struct {
	filter
	limit       int
	all, asJSON bool
}

func (o *listOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.filter.flags(f)
	f.IntVar(&o.limit, "limit", 50, "`number` of jobs to list")
	f.BoolVar(&o.all, "all", false, "list all of them")
	f.BoolVar(&o.asJSON, "json", false, "print JSON, one object on each line")
}

func (p *program) list(cmd *cobra.Command, list jobList, o listOptions) error {
	if o.limit < 0 || o.all && cmd.Flags().Changed("limit") {
		return usage("--limit must be 0 or more, and excludes --all")
	}
	n, err := p.reached(cmd)
	if err != nil {
		return err
	}
	defer n.close()
	all := o.all || o.asJSON && !cmd.Flags().Changed("limit")
	if o.asJSON {
		err = p.printJobsAsJSON(cmd.Context(), n, list, o, all)
	} else {
		err = p.printJobs(cmd.Context(), n, list, o, all)
	}
	if err != nil {
		return err
	}
	return n.missing(cmd.Context())
}

func (p *program) printJobsAsJSON(ctx context.Context, n *node, list jobList, o listOptions, all bool) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	left := o.limit
	for page, err := range n.read(ctx, list, o.filter) {
		if err != nil {
			return err
		}
		for _, f := range page {
			if left == 0 && !all {
				return nil
			}
			left--
			s, err := n.jobStatus(ctx, f)
			if err != nil {
				return n.noAnswer(ctx, err)
			}
			if err := enc.Encode(s); err != nil {
				return usage("writing the list: %w", err)
			}
		}
	}
	return nil
}

// printJobs counts first, so that the answer to "how bad is it" stands at
// the top however long the list is. All of a long list is read a second time
// rather than kept.
func (p *program) printJobs(ctx context.Context, n *node, list jobList, o listOptions, all bool) error {
	var counts causes
	var first []ledger.Found
	for page, err := range n.read(ctx, list, o.filter) {
		if err != nil {
			return err
		}
		counts.add(list, page)
		if !all {
			first = append(first, page[:min(len(page), o.limit-len(first))]...)
		}
	}
	if counts.sum == 0 {
		fmt.Fprintf(p.stdout, "There is no %s%s.\n", list.one, o.filter)
		return nil
	}
	counts.print(p.stdout, list, o.filter)
	if !all && len(first) == 0 {
		return nil
	}
	fmt.Fprintln(p.stdout)
	header := []string{"JOB", "BATCH", "SINCE (UTC)", "CODE", "MESSAGE"}
	if !all {
		printTable(p.stdout, len(header), append([][]string{header}, cells(list, first)...))
		if more := counts.sum - int64(len(first)); more > 0 {
			fmt.Fprintf(p.stdout, "and %s more: --all lists them, --account, --code and --batch choose among them\n", thousands(more))
		}
		return nil
	}
	rows := [][]string{header}
	for page, err := range n.read(ctx, list, o.filter) {
		if err != nil {
			return err
		}
		printTable(p.stdout, len(header), append(rows, cells(list, page)...))
		rows = nil
	}
	return nil
}

// jobList is a list of jobs that wait for a person, and what is told of each.
type jobList struct {
	list ledger.List
	// batches is the list of completions that belongs to it, or "": see [asJob].
	batches ledger.List
	// one is what the list holds, as in "3 failed jobs".
	one string
	// there says whether a job still belongs into the list.
	there func(tasks.Record) bool
	// code and message say why the job is there.
	code, message func(tasks.Record) string
}

func listOfState(s tasks.State) jobList {
	return jobList{
		list: ledger.StateList(s), one: string(s) + " job",
		there:   func(r tasks.Record) bool { return r.State == s },
		code:    func(r tasks.Record) string { return r.Code },
		message: func(r tasks.Record) string { return r.Message },
	}
}

func listOfDeadCallbacks() jobList {
	return jobList{
		list: ledger.DeadCallbacks, batches: ledger.DeadBatches, one: "dead callback",
		there: func(r tasks.Record) bool { return r.Callback.State == tasks.CallbackDead },
		code:  func(r tasks.Record) string { return r.Callback.Reason },
		message: func(r tasks.Record) string {
			event := r.State.EventType()
			if r.State == batchCompleted {
				event = tasks.EventBatchCompleted
			}
			return string(event) + ", not taken in " + tries(r.Callback.Tries)
		},
	}
}

// asJob makes a record of a completed batch, so that a list can show both. Its ID is the
// name that is shown; [targetOf] returns the batch again.
func asJob(c tasks.Completion) tasks.Record {
	r := tasks.Record{State: batchCompleted, Since: c.Facts.Completed, Now: c.Facts.Completed}
	r.Account, r.ID, r.Batch, r.Completes, r.Callback = c.Account, c.Key(), c.Batch, c.Completion, c.Callback
	return r
}

// targetOf returns what an operator's action on an entry of a list applies to.
func targetOf(r tasks.Record) operate.Target {
	if r.State == batchCompleted {
		return operate.Completion(tasks.BatchRef{Account: r.Account, Batch: r.Batch, Completion: r.Completes})
	}
	return operate.Job(r.Ref())
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

// cause is what jobs are counted by.
type cause struct{ account, code string }

type causes struct {
	sum    int64
	counts map[cause]int64
}

func (c *causes) add(list jobList, page []ledger.Found) {
	if c.counts == nil {
		c.counts = map[cause]int64{}
	}
	for _, f := range page {
		code := string(rowUnreadable)
		if f.Err == nil {
			code = list.code(f.Record)
		}
		c.counts[cause{f.Record.Account, code}]++
		c.sum++
	}
}

// print tells the most frequent cause of each account first.
func (c *causes) print(w io.Writer, list jobList, s filter) {
	fmt.Fprintf(w, "%s%s\n", plural(c.sum, list.one), s)
	keys := slices.SortedFunc(maps.Keys(c.counts), func(a, b cause) int {
		if a.account != b.account {
			return strings.Compare(a.account, b.account)
		}
		if order := cmp.Compare(c.counts[b], c.counts[a]); order != 0 {
			return order
		}
		return strings.Compare(a.code, b.code)
	})
	var rows [][]string
	for _, k := range keys {
		rows = append(rows, []string{"  " + k.account, orElse(plain(k.code), "-"), thousands(c.counts[k])})
	}
	printTable(w, 2, rows)
}

// cells are the rows of a table.
func cells(list jobList, found []ledger.Found) [][]string {
	var rows [][]string
	for _, f := range found {
		r := f.Record
		if f.Err != nil {
			rows = append(rows, []string{r.Ref().String(), "-", "-", string(rowUnreadable), plain(f.Err.Error())})
			continue
		}
		rows = append(rows, []string{
			r.Ref().String(), orElse(plain(r.Batch), "-"), r.Since.UTC().Format("2006-01-02 15:04:05"),
			orElse(plain(list.code(r)), "-"), clip(plain(list.message(r)), 160),
		})
	}
	return rows
}

// clip cuts a text that is too long for a line.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
