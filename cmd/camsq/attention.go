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
	"github.com/camsq/camsq/tasks"
)

func (p *program) heldCommand() *cobra.Command {
	var o attentionOptions
	cmd := &cobra.Command{
		Use:   "held",
		Short: "List the jobs that wait for a person to say how they ended",
		Long: `held counts the jobs of which only a person can tell how they ended, and lists the newest.
docs/runbook.md says what to look at; camsq resolve decides.

` + attentionHelp,
		Example: `  camsq held
  camsq held --json --account default`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.attention(cmd, stateShelf(tasks.StateHeld), o) },
	}
	o.flags(cmd)
	return cmd
}

func (p *program) failedCommand() *cobra.Command {
	var o attentionOptions
	callbacks := false
	cmd := &cobra.Command{
		Use:   "failed",
		Short: "List the jobs that failed, or the callbacks that were given up",
		Long: `failed counts the jobs that ended without an instance, and lists the newest. None is ever
left out: they are there for as long as records are kept (CAMSQ_KEEP). camsq retry puts
them back. With --callbacks it lists the callbacks that were given up; their code is the
reason why the last try failed.

` + attentionHelp,
		Example: `  camsq failed --code camsq.TriesSpent --all
  camsq failed --batch tenants --json
  camsq failed --callbacks`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if callbacks {
				return p.attention(cmd, deadCallbacks(), o)
			}
			return p.attention(cmd, stateShelf(tasks.StateFailed), o)
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&callbacks, "callbacks", false, "list the callbacks that were given up")
	return cmd
}

const attentionHelp = `With --json there is one JSON object on each line, with the fields of camsq status --json, and
no counts: every job that matches, or as many as --limit says.

Exit codes: 0 they are listed, however many; 2 wrong usage; 3 Redis did not answer.`

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, and here is %q; see camsq %s --help", cmd.Name(), args[0], cmd.Name())
	}
	return nil
}

type attentionOptions struct {
	selection
	limit       int
	all, asJSON bool
}

func (o *attentionOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.selection.flags(f)
	f.IntVar(&o.limit, "limit", 50, "`number` of jobs to list")
	f.BoolVar(&o.all, "all", false, "list all of them")
	f.BoolVar(&o.asJSON, "json", false, "print JSON, one object on each line")
}

func (p *program) attention(cmd *cobra.Command, sh shelf, o attentionOptions) error {
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
		return p.attentionJSON(cmd.Context(), n, sh, o, all)
	}
	return p.attentionTable(cmd.Context(), n, sh, o, all)
}

func (p *program) attentionJSON(ctx context.Context, n *node, sh shelf, o attentionOptions, all bool) error {
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	left := o.limit
	for page, err := range n.read(ctx, sh, o.selection) {
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
				return n.silent(ctx, err)
			}
			if err := enc.Encode(s); err != nil {
				return usage("writing the list: %w", err)
			}
		}
	}
	return nil
}

// jobStatus is what status tells of a job that was looked up.
func (n *node) jobStatus(ctx context.Context, f ledger.Found) (jobStatus, error) {
	if f.Err != nil {
		r := f.Record
		return jobStatus{
			Job: r.Ref().String(), Account: r.Account, ID: r.ID, State: rowUnreadable, Candidates: []string{}, Message: f.Err.Error(),
		}, nil
	}
	next, err := n.next(ctx, f.Record)
	return newJobStatus(f.Record, next), err
}

// attentionTable counts first, so that the answer to "how bad is it" stands at
// the top however long the list is. All of a long list is read a second time
// rather than kept.
func (p *program) attentionTable(ctx context.Context, n *node, sh shelf, o attentionOptions, all bool) error {
	var counts causes
	var first []ledger.Found
	for page, err := range n.read(ctx, sh, o.selection) {
		if err != nil {
			return err
		}
		counts.add(sh, page)
		if !all {
			first = append(first, page[:min(len(page), o.limit-len(first))]...)
		}
	}
	if counts.sum == 0 {
		fmt.Fprintf(p.stdout, "There is no %s%s.\n", sh.one, o.selection)
		return nil
	}
	counts.print(p.stdout, sh, o.selection)
	if !all && len(first) == 0 {
		return nil
	}
	fmt.Fprintln(p.stdout)
	header := []string{"JOB", "BATCH", "SINCE (UTC)", "CODE", "MESSAGE"}
	if !all {
		printTable(p.stdout, len(header), append([][]string{header}, cells(sh, first)...))
		if more := counts.sum - int64(len(first)); more > 0 {
			fmt.Fprintf(p.stdout, "and %s more: --all lists them, --account, --code and --batch choose among them\n", thousands(more))
		}
		return nil
	}
	rows := [][]string{header}
	for page, err := range n.read(ctx, sh, o.selection) {
		if err != nil {
			return err
		}
		printTable(p.stdout, len(header), append(rows, cells(sh, page)...))
		rows = nil
	}
	return nil
}

// String is " of batch b with code c", to follow what is selected from.
func (s selection) String() string {
	text := ""
	for _, part := range [][2]string{{" in account ", s.account}, {" of batch ", s.batch}, {" with code ", s.code}} {
		if part[1] != "" {
			text += part[0] + plain(part[1])
		}
	}
	return text
}

// cause is what jobs are counted by.
type cause struct{ account, code string }

type causes struct {
	sum    int64
	counts map[cause]int64
}

func (c *causes) add(sh shelf, page []ledger.Found) {
	if c.counts == nil {
		c.counts = map[cause]int64{}
	}
	for _, f := range page {
		code := string(rowUnreadable)
		if f.Err == nil {
			code = sh.code(f.Record)
		}
		c.counts[cause{f.Record.Account, code}]++
		c.sum++
	}
}

// print tells the most frequent cause of each account first.
func (c *causes) print(w io.Writer, sh shelf, s selection) {
	fmt.Fprintf(w, "%s%s\n", plural(c.sum, sh.one), s)
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
func cells(sh shelf, found []ledger.Found) [][]string {
	var rows [][]string
	for _, f := range found {
		r := f.Record
		if f.Err != nil {
			rows = append(rows, []string{r.Ref().String(), "-", "-", string(rowUnreadable), plain(f.Err.Error())})
			continue
		}
		rows = append(rows, []string{
			r.Ref().String(), orElse(plain(r.Batch), "-"), r.Since.UTC().Format("2006-01-02 15:04:05"),
			orElse(plain(sh.code(r)), "-"), clip(plain(sh.message(r)), 160),
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
