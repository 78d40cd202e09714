package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/internal/workdir"
	"github.com/camsq/camsq/tasks"
)

func addFilterFlags(s *inspect.Filter, f *pflag.FlagSet) {
	f.StringVar(&s.Account, "account", "", "only jobs of the account of this `name`")
	f.StringVar(&s.Code, "code", "", "only jobs with this `code`")
	f.StringVar(&s.Batch, "batch", "", "only jobs of the batch of this `name`")
}

// NewHeld makes the command held.
func NewHeld(f *cmdutil.Factory) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "held",
		Short: "List the jobs that wait for an operator's decision",
		Long: `held counts the jobs whose outcome only an operator can decide, and lists the
newest. docs/runbook.md says what to look at; camsq resolve decides.

` + listHelp,
		Example: `  camsq held
  camsq held --json --account default`,
		Args: cmdutil.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(f, cmd, inspect.ListOfState(tasks.StateHeld), o)
		},
	}
	o.flags(cmd)
	cmdutil.AddSettings(cmd, config.Client)
	return cmd
}

// NewFailed makes the command failed.
func NewFailed(f *cmdutil.Factory) *cobra.Command {
	var o listOptions
	callbacks := false
	cmd := &cobra.Command{
		Use:   "failed",
		Short: "List the jobs that failed, or the callbacks that were given up",
		Long: `failed counts the jobs that ended without an instance, and lists the newest.
None is ever left out: they are there for as long as records are kept
(CAMSQ_KEEP). camsq retry puts them back. With --callbacks it lists the
callbacks that were given up; their code is the reason why the last try failed.
Those of completed batches stand there as ACCOUNT/BATCH#NUMBER.

` + listHelp,
		Example: `  camsq failed --code camsq.TriesSpent --all
  camsq failed --batch tenants --json
  camsq failed --callbacks`,
		Args: cmdutil.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if callbacks {
				return list(f, cmd, inspect.ListOfDeadCallbacks(), o)
			}
			return list(f, cmd, inspect.ListOfState(tasks.StateFailed), o)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&callbacks, "callbacks", false, "list the callbacks that were given up")
	cmdutil.AddSettings(cmd, config.Client)
	return cmd
}

const listHelp = `With --json the output is one JSON object on each line, with the fields of
camsq status --json, and no counts: every job that matches, or as many as
--limit says.

Exit codes: 0 the list was printed, even if it is empty; 2 wrong usage; 3 Redis
did not answer; 4 the list could not be written.`

type listOptions struct {
	inspect.Filter
	limit       int
	all, asJSON bool
}

func (o *listOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	addFilterFlags(&o.Filter, f)
	f.IntVar(&o.limit, "limit", 50, "`number` of jobs to list")
	f.BoolVar(&o.all, "all", false, "list all of them")
	f.BoolVar(&o.asJSON, "json", false, "print JSON, one object on each line")
}

func list(f *cmdutil.Factory, cmd *cobra.Command, list inspect.ListSpec, o listOptions) error {
	if o.limit < 0 || o.all && cmd.Flags().Changed("limit") {
		return exit.Usagef("--limit must be 0 or more, and excludes --all")
	}
	a, err := f.App(cmd)
	if err != nil {
		return err
	}
	defer a.Close()
	all := o.all || o.asJSON && !cmd.Flags().Changed("limit")
	if o.asJSON {
		err = printJobsAsJSON(cmd.Context(), f, a, list, o, all)
	} else {
		err = printJobs(cmd.Context(), f, a, list, o, all)
	}
	if err != nil {
		return err
	}
	return a.Skipped(cmd.Context())
}

func printJobsAsJSON(ctx context.Context, p *cmdutil.Factory, a *app.App, list inspect.ListSpec, o listOptions, all bool) error {
	enc := json.NewEncoder(p.Stdout)
	enc.SetEscapeHTML(false)
	left := o.limit
	for page, err := range a.Pages(ctx, list, o.Filter) {
		if err != nil {
			return err
		}
		for _, f := range page {
			if left == 0 && !all {
				return nil
			}
			left--
			s, err := a.JobStatus(ctx, f)
			if err != nil {
				return a.RedisError(ctx, err)
			}
			if err := enc.Encode(s); err != nil {
				return workdir.Stream("the list", p.Stdout).Failure(err)
			}
		}
	}
	return nil
}

// printJobs counts first, so that the answer to "how bad is it" stands at
// the top however long the list is. All of a long list is read a second time
// rather than kept.
func printJobs(ctx context.Context, f *cmdutil.Factory, a *app.App, list inspect.ListSpec, o listOptions, all bool) error {
	var counts inspect.CodeCounts
	var first []tasks.Lookup
	for page, err := range a.Pages(ctx, list, o.Filter) {
		if err != nil {
			return err
		}
		counts.Add(list, page)
		if !all {
			first = append(first, page[:min(len(page), o.limit-len(first))]...)
		}
	}
	if counts.Sum == 0 {
		fmt.Fprintf(f.Stdout, "There is no %s%s.\n", list.Noun, o.Filter)
		return nil
	}
	printCauses(&counts, f.Stdout, list, o.Filter)
	if !all && len(first) == 0 {
		return nil
	}
	fmt.Fprintln(f.Stdout)
	header := []string{"JOB", "BATCH", "SINCE (UTC)", "CODE", "MESSAGE"}
	if !all {
		render.PrintTable(f.Stdout, len(header), append([][]string{header}, cells(list, first)...))
		if more := counts.Sum - int64(len(first)); more > 0 {
			fmt.Fprintf(f.Stdout, "and %s more: --all lists them, --account, --code and --batch choose among them\n", humanize.Group(more))
		}
		return nil
	}
	rows := [][]string{header}
	for page, err := range a.Pages(ctx, list, o.Filter) {
		if err != nil {
			return err
		}
		render.PrintTable(f.Stdout, len(header), append(rows, cells(list, page)...))
		rows = nil
	}
	return nil
}

// targetOf returns what an operator's action on an entry of a list applies to.
func targetOf(r tasks.Record) operate.Target {
	if r.State == inspect.BatchCompleted {
		return operate.Completion(tasks.BatchRef{Account: r.Account, Batch: r.Batch, Completion: r.Completes})
	}
	return operate.Job(r.Ref())
}

// printCauses prints the most frequent cause of each account first.
func printCauses(c *inspect.CodeCounts, w io.Writer, list inspect.ListSpec, s inspect.Filter) {
	fmt.Fprintf(w, "%s%s\n", humanize.Plural(c.Sum, list.Noun), s)
	keys := slices.SortedFunc(maps.Keys(c.Counts), func(a, b inspect.CodeKey) int {
		if a.Account != b.Account {
			return strings.Compare(a.Account, b.Account)
		}
		if order := cmp.Compare(c.Counts[b], c.Counts[a]); order != 0 {
			return order
		}
		return strings.Compare(a.Code, b.Code)
	})
	var rows [][]string
	for _, k := range keys {
		rows = append(rows, []string{"  " + k.Account, humanize.Or(humanize.Sanitize(k.Code), "-"), humanize.Group(c.Counts[k])})
	}
	render.PrintTable(w, 2, rows)
}

// cells are the rows of a table.
func cells(list inspect.ListSpec, found []tasks.Lookup) [][]string {
	var rows [][]string
	for _, f := range found {
		r := f.Record
		if f.Err != nil {
			rows = append(rows, []string{r.Ref().String(), "-", "-", string(inspect.RowUnreadable), humanize.Sanitize(f.Err.Error())})
			continue
		}
		rows = append(rows, []string{
			r.Ref().String(), humanize.Or(humanize.Sanitize(r.Batch), "-"), r.Since.UTC().Format("2006-01-02 15:04:05"),
			humanize.Or(humanize.Sanitize(list.Code(r)), "-"), humanize.Clip(humanize.Sanitize(list.Message(r)), 160),
		})
	}
	return rows
}
