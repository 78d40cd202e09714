package prove

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/cli/render"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/ledger"
)

// Report is what a proof prints as JSON.
type Report struct {
	Proven  bool               `json:"proven"`
	Seed    uint64             `json:"seed"`
	Jobs    int                `json:"jobs_sent"`
	Workers int                `json:"workers"`
	Faults  float64            `json:"faults"`
	Mishaps map[mishapKind]int `json:"mishaps"`
	Calls   int                `json:"create_calls"`
	Seconds float64            `json:"seconds"`
	Odd     []oddity           `json:"odd"`
	// AfterKill is how long after the last kill the last job ended; nil if nothing was killed.
	AfterKill *float64 `json:"last_outcome_after_last_kill_seconds"`
	Logs      string   `json:"logs,omitempty"`
	verdict
}

// report prints the result. It returns errSomeFailed if something is not as promised.
func (f *trialRun) report(e snapshot, b verdict) error {
	r := Report{
		Proven: len(b.Findings) == 0, Seed: f.Seed, Jobs: len(f.sent), Workers: f.Workers, Faults: f.Faults,
		Mishaps: f.pool.done, Calls: f.observer.CAMS.Calls("CreateInstance"),
		Seconds: time.Since(f.observer.begun).Seconds(), verdict: b, Odd: append([]oddity{}, f.Oddities...),
	}
	if killed := f.pool.killed; !killed.IsZero() && !b.LastOutcome.IsZero() {
		after := b.LastOutcome.Sub(killed).Seconds()
		r.AfterKill = &after
	}
	if !r.Proven || f.KeepLogs != "" {
		r.Logs = f.logs
	}
	if !r.Proven {
		f.failed = true
		f.tell(r.Findings, e)
	}
	if f.JSON {
		enc := json.NewEncoder(f.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		f.print(r)
	}
	if !r.Proven {
		return exit.ErrSomeFailed
	}
	return nil
}

func (f *trialRun) print(r Report) {
	out := f.out
	rows := [][]string{{"jobs", ""}}
	row := func(n int, format string, args ...any) {
		rows = append(rows, []string{"  " + fmt.Sprintf(format, args...), humanize.Group(int64(n))})
	}
	head := func(text string) { rows = append(rows, []string{text, ""}) }
	row(r.Accepted, "accepted")
	row(r.Created, "created (%s found by a look)", humanize.Group(int64(r.Adopted)))
	row(r.Failed, "failed%s", codes(r.FailedBy))
	row(r.Cancelled, "cancelled")
	row(r.Held, "held (%s with their instance in question)", humanize.Group(int64(r.HeldRight)))
	row(r.InFlight, "in flight")
	head("cloud")
	row(r.Calls, "create calls")
	row(r.Instances, "instances")
	row(r.Duplicates, "duplicates")
	row(r.Lost, "lost")
	row(r.Misreported, "misreported")
	head("callbacks")
	row(r.Owed, "owed")
	row(r.Delivered, "delivered")
	row(r.Waiting, "on their way")
	row(r.Dead, "given up")
	row(r.Received, "webhooks received")
	row(r.Distinct, "distinct")
	row(r.Unsigned, "without a good signature")
	row(r.TwoBodies, "with two bodies")
	head("mishaps")
	for _, m := range []struct {
		kind mishapKind
		text string
	}{
		{MishapKill, "workers killed (kill -9)"},
		{mishapFreeze, "workers frozen for longer than their lease"},
		{MishapRedis, "Redis killed (kill -9) and restarted"},
		{mishapCutRedis, "wires to Redis cut or held"},
		{mishapCutCloud, "wires to CAMS cut or held"},
		{mishapRefused, "times that CAMS refused the account"},
		{mishapPages, "times that pages came instead of answers"},
		{mishapAway, "times that CAMS could not be reached"},
	} {
		row(r.Mishaps[m.kind], "%s", m.text)
	}
	fmt.Fprintln(out)
	render.PrintTable(out, 1, rows)
	fmt.Fprintf(out, "\n%s with seed %d. ", humanize.Duration(time.Duration(r.Seconds*float64(time.Second))), r.Seed)
	if r.AfterKill != nil {
		fmt.Fprintf(out, "The last job ended %.1f s after the last kill.\n", *r.AfterKill)
	}
	if r.Proven {
		fmt.Fprintf(out, "Nothing was created twice, nothing was lost, and the books balance:\n%s = %s + %s + %s + %s + %s.\n",
			humanize.Group(int64(r.Accepted)), humanize.Group(int64(r.Created)), humanize.Group(int64(r.Failed)),
			humanize.Group(int64(r.Cancelled)), humanize.Group(int64(r.Held)), humanize.Group(int64(r.InFlight)))
		return
	}
	fmt.Fprintf(out, "This must not be:\n")
	for _, x := range r.Findings[:min(len(r.Findings), toldFindings)] {
		fmt.Fprintf(out, "  %s\n", strings.TrimSpace(x.Job+" "+x.Text))
		for _, line := range x.Story {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
	if more := len(r.Findings) - toldFindings; more > 0 {
		fmt.Fprintf(out, "  and %s more\n", humanize.Group(int64(more)))
	}
	fmt.Fprintf(out, "The logs of the workers are in %s.\n", r.Logs)
}

// codes lists why jobs failed.
func codes(by map[string]int) string {
	if len(by) == 0 {
		return ""
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %s", humanize.Sanitize(code), humanize.Group(int64(by[code]))))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// toldFindings of the findings are told with their story.
const toldFindings = 10

// tell adds to each of the first findings all that is known of its job.
func (f *trialRun) tell(list []finding, e snapshot) {
	at := map[string]int{}
	for i, job := range e.jobs {
		at[job.ID] = i
	}
	for i := range list[:min(len(list), toldFindings)] {
		n, ok := at[list[i].Job]
		if !ok || i > 0 && list[i-1].Job == list[i].Job {
			continue
		}
		list[i].Story = append(recordLines(e.records[n]), f.observer.story(list[i].Job, e.jobs[n].Request.InstanceName)...)
	}
}

func recordLines(found ledger.Found) []string {
	if found.Err != nil {
		return nil
	}
	r := found.Record
	progress, err := json.Marshal(r.Progress)
	if err != nil {
		return []string{err.Error()}
	}
	return []string{
		fmt.Sprintf("the ledger: %s since %s, enqueued %s, revision %s", r.State, r.Since.Format(storyTime), r.EnqueuedAt.Format(storyTime), r.Rev),
		string(progress),
	}
}
