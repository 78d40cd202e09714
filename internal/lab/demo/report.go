package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/tasks"
)

func (f jobTrace) outcomes() []tasks.Outcome {
	var all []tasks.Outcome
	for _, c := range f.calls {
		all = append(all, c.Outcome)
	}
	return all
}

// outcomes counts the calls of all jobs by how they ended.
func (r *recorder) outcomes() map[tasks.Outcome]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := map[tasks.Outcome]int{}
	for _, calls := range r.calls {
		for _, c := range calls {
			n[c.Outcome]++
		}
	}
	return n
}

// report prints what happened and checks it against the promises.
func (d *demo) report() error {
	took := time.Since(d.begun)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	traces, err := d.traces(ctx)
	if err != nil {
		return exit.Unreachablef("demo: %w", err)
	}
	time.Sleep(time.Until(d.recorder.last().Add(demoLag))) // until ListInstance shows the newest instance
	there, err := d.instances(ctx)
	if err != nil {
		return exit.Unreachablef("demo: %w", err)
	}
	d.say("")
	d.say("What happened")
	d.printUndisturbed(traces)
	for _, a := range d.scenarios.list {
		d.printTrace(a, traces[a.job.Ref()])
	}
	d.totals(traces, there)
	if err := d.showMetrics(); err != nil {
		return err
	}
	broken := d.promises(traces, there)
	d.say("")
	if broken > 0 {
		d.say("%s broken: this is a bug in camsq. Please report it with the text above.", humanize.Plural(int64(broken), "promise"))
		return exit.ErrSomeFailed
	}
	d.say("Every promise was kept, in %.1f s.", took.Seconds())
	d.say("")
	d.say("Next")
	d.say("  camsq fake --receiver 127.0.0.1:8081   the fake API and receiver, for workers that you start")
	d.say("  camsq check                            check your Redis, credentials and receiver")
	d.say("  camsq enqueue FILE --wait              queue your own file, for camsq worker to process")
	return nil
}

// traces reads every job's record and joins it with what was recorded.
func (d *demo) traces(ctx context.Context) (map[tasks.Ref]jobTrace, error) {
	ids := map[string][]string{}
	for _, j := range d.jobs {
		ids[j.Account] = append(ids[j.Account], j.ID)
	}
	traces := map[tasks.Ref]jobTrace{}
	for account, list := range ids {
		for page := range slices.Chunk(list, 200) {
			found, err := d.apps[0].Ledger.GetMany(ctx, account, page)
			if err != nil {
				return nil, err
			}
			for _, f := range found {
				if f.Err != nil {
					return nil, f.Err
				}
				traces[f.Record.Ref()] = d.recorder.trace(f.Record)
			}
		}
	}
	return traces, nil
}

// instanceName identifies the job that an instance belongs to. The API itself allows two
// instances of one name.
type instanceName struct{ account, channelType, name string }

// instances lists the IDs of each account's instances at the API.
func (d *demo) instances(ctx context.Context) (map[instanceName][]string, error) {
	there := map[instanceName][]string{}
	for _, account := range d.accounts() {
		client, err := cams.New(d.bed.CAMS.ClientConfig(keyID(account)))
		if err != nil {
			return nil, err
		}
		list, err := client.ListInstances(ctx, cams.ListInstancesRequest{})
		client.CloseIdleConnections()
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			key := instanceName{account, strings.ToUpper(i.ChannelType), i.InstanceName}
			there[key] = append(there[key], i.InstanceID)
		}
	}
	return there, nil
}

// printUndisturbed sums up the jobs without a scenario.
func (d *demo) printUndisturbed(traces map[tasks.Ref]jobTrace) {
	smooth, rough := 0, []string{}
	for _, j := range d.jobs {
		if slices.ContainsFunc(d.scenarios.list, func(a scenario) bool { return a.job.Ref() == j.Ref() }) {
			continue
		}
		r := traces[j.Ref()].record
		if r.State == tasks.StateCreated && r.Tries == 1 {
			smooth++
			continue
		}
		rough = append(rough, fmt.Sprintf("%s: %s, tries: %d, %s", jobName(j), r.State, r.Tries, r.Code))
	}
	d.say("  Without a fault: %d of %d jobs were created by their first call.", smooth, smooth+len(rough))
	for _, line := range rough[:min(len(rough), 5)] {
		d.say("  %s", line)
	}
	d.say("  With a fault, on purpose:")
}

// printTrace prints one job's steps in order.
func (d *demo) printTrace(a scenario, f jobTrace) {
	type moment struct {
		at         time.Duration
		what, text string
	}
	var moments []moment
	after := time.Duration(-1) // the first call
	for i, c := range f.calls {
		if i == 0 {
			after = c.at
		}
		moments = append(moments, moment{c.at, fmt.Sprintf("call %d", i+1), a.describe(c.Attempt, f.record)})
	}
	for i, at := range f.lookups {
		text := "before the call: no instance of that name"
		switch {
		case at < after || after < 0:
		case f.record.Adopted && i == len(f.lookups)-1:
			text = "found, and not there before the call: it is the job's. No second call"
		default:
			text = "not found yet; it may still appear"
			if r := f.record; !r.Adopted && i == len(f.lookups)-1 && r.Tries > 1 {
				text = fmt.Sprintf("still not found after the settle window of %g s: safe to call again", demoSettle.Seconds())
			}
		}
		moments = append(moments, moment{at, "lookup", text})
	}
	for i, w := range f.webhooks {
		text := fmt.Sprintf("%s, verified, answered %d", w.Event.Type, w.Status)
		switch {
		case w.Status >= 300:
			text = fmt.Sprintf("%s, verified, the receiver answers %d", w.Event.Type, w.Status)
		case i > 0:
			text += ": same id, same bytes"
		case w.Event.Data.Adopted:
			text += `, with "adopted": true`
		}
		moments = append(moments, moment{w.At.Sub(d.begun), "webhook", text})
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	d.say("")
	d.say("  %s: %s", jobName(a.job), a.title)
	for _, m := range moments {
		d.say("    %5.1f s  %-8s %s", m.at.Seconds(), m.what, m.text)
	}
}

func jobName(j tasks.Job) string {
	return j.Request.ChannelType + " " + clipName(j.Request.InstanceName)
}

func clipName(name string) string { return humanize.Clip(humanize.Sanitize(name), 40) }

func (d *demo) totals(traces map[tasks.Ref]jobTrace, there map[instanceName][]string) {
	states := map[tasks.State]int{}
	for _, f := range traces {
		states[f.record.State]++
	}
	outcomes := d.recorder.outcomes()
	instances, most := countInstances(there)
	hooks := d.bed.Receiver.Counts()
	d.say("")
	d.say("Totals")
	d.say("  jobs       %d queued: %d created, %d failed, %d unfinished", len(d.jobs), states[tasks.StateCreated],
		states[tasks.StateFailed], len(d.jobs)-states[tasks.StateCreated]-states[tasks.StateFailed])
	d.say("  calls      %d CreateInstance: %d succeeded, %d throttled, %d without a clear answer", d.bed.CAMS.Calls("CreateInstance"),
		outcomes[tasks.OutcomeSucceeded], outcomes[tasks.OutcomeThrottled], outcomes[tasks.OutcomeAmbiguous])
	d.say("  lookups    %d ListInstance", d.bed.CAMS.Calls("ListInstance"))
	d.say("  instances  %d, of %s, never more than %d of one (counted by the API, not by the workers)", instances, humanize.Plural(int64(len(there)), "name"), most)
	d.say("  webhooks   %d received, %d verified, %d distinct", hooks.Received, hooks.Verified, hooks.Distinct)
}

// countInstances returns the number of all instances, and the most of one name.
func countInstances(there map[instanceName][]string) (all, most int) {
	for _, ids := range there {
		all += len(ids)
		most = max(most, len(ids))
	}
	return all, most
}

// promises prints each promise and whether it was kept, and returns the number of
// broken ones.
func (d *demo) promises(traces map[tasks.Ref]jobTrace, there map[instanceName][]string) (broken int) {
	d.say("")
	d.say("Promises")
	check := func(promise string, faults []string) {
		if len(faults) == 0 {
			d.say("  ok    %s", promise)
			return
		}
		broken++
		d.say("  FAIL  %s", promise)
		for _, fault := range faults[:min(len(faults), 5)] {
			d.say("        %s", fault)
		}
	}
	var open, wrong, undelivered, unrecovered []string
	created := 0
	for _, j := range d.jobs {
		f := traces[j.Ref()]
		r := f.record
		name := jobName(j)
		if r.State == tasks.StateCreated {
			created++
			ids := there[instanceName{j.Account, j.Request.ChannelType, j.Request.InstanceName}]
			if r.Instance == nil || !slices.Contains(ids, r.Instance.InstanceID) {
				wrong = append(wrong, name+": the recorded instance does not exist at the API")
			}
		}
		if !r.State.Final() {
			open = append(open, name+": still "+string(r.State))
		}
		if distinct := distinctIDs(f.webhooks); distinct != 1 || r.Callback.State != tasks.CallbackDelivered {
			undelivered = append(undelivered, fmt.Sprintf("%s: %d distinct webhooks, callback %q", name, distinct, r.Callback.State))
		}
	}
	for key, ids := range there {
		if len(ids) > 1 {
			wrong = append(wrong, fmt.Sprintf("%s %s: %d instances", key.channelType, clipName(key.name), len(ids)))
		}
	}
	if all, _ := countInstances(there); all != created || all != len(d.bed.CAMS.Instances()) {
		wrong = append(wrong, fmt.Sprintf("%d jobs are created, and the API has %d instances", created, len(d.bed.CAMS.Instances())))
	}
	for _, a := range d.scenarios.list {
		if !a.recovered(traces[a.job.Ref()]) {
			unrecovered = append(unrecovered, jobName(a.job)+": "+a.title+", and it did not recover")
		}
	}
	var unsigned []string
	if c := d.bed.Receiver.Counts(); c.Refused > 0 || c.Changed > 0 {
		unsigned = append(unsigned, fmt.Sprintf("%d did not verify, %d changed between two attempts", c.Refused, c.Changed))
	}
	check("every job has one recorded outcome", open)
	check("at most one instance for each job, and it is the recorded one", wrong)
	check("every outcome reached the webhook", undelivered)
	check("every webhook was signed, and identical on every attempt", unsigned)
	check("every fault was recovered from", unrecovered)
	check("every call was valid (signature, nonce, method)", d.bed.CAMS.Violations())
	return broken
}

func distinctIDs(webhooks []callbacktest.Delivery) int {
	ids := map[string]bool{}
	for _, w := range webhooks {
		ids[w.ID] = true
	}
	return len(ids)
}

// shownMetrics are the counters that need no explanation.
var shownMetrics = []string{"camsq_calls_total", "camsq_lookups_total", "camsq_jobs_finished_total", "camsq_callback_tries_total"}

// showMetrics prints the sums of both workers' counters.
func (d *demo) showMetrics() error {
	sums, order := map[string]float64{}, []string{}
	for _, registry := range d.metrics {
		families, err := registry.Gather()
		if err != nil {
			return fmt.Errorf("demo: reading the metrics: %w", err)
		}
		for _, family := range families {
			if !slices.Contains(shownMetrics, family.GetName()) {
				continue
			}
			for _, m := range family.GetMetric() {
				line := series(family.GetName(), m)
				if _, known := sums[line]; !known {
					order = append(order, line)
				}
				sums[line] += m.GetCounter().GetValue()
			}
		}
	}
	d.say("")
	d.say("Metrics, summed over both workers")
	for _, line := range order {
		if sums[line] > 0 {
			d.say("  %s %g", line, sums[line])
		}
	}
	return nil
}

func series(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}
