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
	"github.com/camsq/camsq/tasks"
)

// report is what --json prints.
type report struct {
	Proven   bool              `json:"proven"`
	Seed     uint64            `json:"seed"`
	Jobs     int               `json:"jobs_sent"`
	Workers  int               `json:"workers"`
	Faults   float64           `json:"fault_share"`
	Injected map[faultKind]int `json:"injected"`
	Calls    int               `json:"create_calls"`
	Seconds  float64           `json:"seconds"`
	Odd      []oddity          `json:"odd"`
	// AfterKill is the time from the last kill to the last outcome, in seconds; nil without a kill.
	AfterKill *float64 `json:"last_outcome_after_last_kill_seconds"`
	Logs      string   `json:"logs,omitempty"`
	verdict
}

// report prints the result. It returns exit.ErrSomeFailed if a promise was broken.
func (t *trialRun) report(s snapshot, v verdict) error {
	r := report{
		Proven: len(v.Findings) == 0, Seed: t.Seed, Jobs: len(t.sent), Workers: t.Workers, Faults: t.Faults,
		Injected: t.pool.done, Calls: t.observer.CAMS.Calls("CreateInstance"),
		Seconds: time.Since(t.observer.begun).Seconds(), verdict: v, Odd: append([]oddity{}, t.Oddities...),
	}
	if killed := t.pool.killed; !killed.IsZero() && !v.LastOutcome.IsZero() {
		after := v.LastOutcome.Sub(killed).Seconds()
		r.AfterKill = &after
	}
	if !r.Proven || t.KeepLogs != "" {
		r.Logs = t.logs
	}
	if !r.Proven {
		t.failed = true
		t.explain(r.Findings, s)
	}
	if t.JSON {
		enc := json.NewEncoder(t.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		t.print(r)
	}
	if !r.Proven {
		return exit.ErrSomeFailed
	}
	return nil
}

func (t *trialRun) print(r report) {
	out := t.out
	rows := [][]string{{"jobs", ""}}
	row := func(n int, format string, args ...any) {
		rows = append(rows, []string{"  " + fmt.Sprintf(format, args...), humanize.Group(int64(n))})
	}
	head := func(text string) { rows = append(rows, []string{text, ""}) }
	row(r.Accepted, "accepted")
	row(r.Created, "created (%s found by a lookup)", humanize.Group(int64(r.CreatedByLookup)))
	row(r.Failed, "failed%s", codes(r.FailedBy))
	row(r.Cancelled, "cancelled")
	row(r.Held, "held (%s with their instance among the candidates)", humanize.Group(int64(r.HeldWithInstance)))
	row(r.InFlight, "in flight")
	head("API")
	row(r.Calls, "create calls")
	row(r.Instances, "instances")
	row(r.Duplicates, "duplicates")
	row(r.Lost, "lost")
	row(r.Misreported, "misreported")
	head("callbacks")
	row(r.Owed, "due")
	row(r.Delivered, "delivered")
	row(r.Waiting, "pending")
	row(r.Dead, "given up")
	row(r.Received, "webhooks received")
	row(r.Distinct, "distinct")
	row(r.Unsigned, "without a valid signature")
	row(r.BodyMismatch, "with a changed body")
	head("faults injected")
	for _, m := range []struct {
		kind faultKind
		text string
	}{
		{faultKill, "workers killed (kill -9)"},
		{faultFreeze, "workers frozen for longer than their lease"},
		{faultRedis, "Redis killed (kill -9) and restarted"},
		{faultCutRedis, "connections to Redis cut or held"},
		{faultCutAPI, "connections to the API cut or held"},
		{faultRefused, "times the API refused the account"},
		{faultPages, "times the API answered with web pages"},
		{faultAway, "times the API was unreachable"},
	} {
		row(r.Injected[m.kind], "%s", m.text)
	}
	fmt.Fprintln(out)
	render.PrintTable(out, 1, rows)
	fmt.Fprintf(out, "\n%s with seed %d. ", humanize.Duration(time.Duration(r.Seconds*float64(time.Second))), r.Seed)
	if r.AfterKill != nil {
		fmt.Fprintf(out, "The last job ended %.1f s after the last kill.\n", *r.AfterKill)
	}
	if r.Proven {
		fmt.Fprintf(out, "Nothing was created twice and nothing was lost:\naccepted %s = created %s + failed %s + cancelled %s + held %s + in flight %s\n",
			humanize.Group(int64(r.Accepted)), humanize.Group(int64(r.Created)), humanize.Group(int64(r.Failed)),
			humanize.Group(int64(r.Cancelled)), humanize.Group(int64(r.Held)), humanize.Group(int64(r.InFlight)))
		return
	}
	fmt.Fprintln(out, "The promise was broken:")
	for _, x := range r.Findings[:min(len(r.Findings), explained)] {
		fmt.Fprintf(out, "  %s\n", strings.TrimSpace(x.Job+" "+x.Text))
		for _, line := range x.Timeline {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
	if more := len(r.Findings) - explained; more > 0 {
		fmt.Fprintf(out, "  and %s more\n", humanize.Group(int64(more)))
	}
	fmt.Fprintf(out, "The workers' logs are in %s.\n", r.Logs)
}

// codes lists the codes of failed jobs, with the number of each.
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

// explained is the number of findings that are printed, with their timeline.
const explained = 10

// explain adds the timeline to each of the first findings.
func (t *trialRun) explain(list []finding, s snapshot) {
	at := map[string]int{}
	for i, job := range s.jobs {
		at[job.ID] = i
	}
	for i := range list[:min(len(list), explained)] {
		n, ok := at[list[i].Job]
		if !ok || i > 0 && list[i-1].Job == list[i].Job {
			continue
		}
		list[i].Timeline = append(recordLines(s.records[n]), t.observer.timeline(list[i].Job, s.jobs[n].Request.InstanceName)...)
	}
}

func recordLines(found tasks.Lookup) []string {
	if found.Err != nil {
		return nil
	}
	r := found.Record
	progress, err := json.Marshal(r.Progress)
	if err != nil {
		return []string{err.Error()}
	}
	return []string{
		fmt.Sprintf("the ledger: %s since %s, enqueued %s, version %s", r.State, r.Since.Format(clockTime), r.EnqueuedAt.Format(clockTime), r.Version),
		string(progress),
	}
}
