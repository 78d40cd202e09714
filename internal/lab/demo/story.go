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
func (j *recorder) outcomes() map[tasks.Outcome]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := map[tasks.Outcome]int{}
	for _, calls := range j.calls {
		for _, c := range calls {
			n[c.Outcome]++
		}
	}
	return n
}

// report tells what happened and holds it against what was promised.
func (d *demo) report() error {
	took := time.Since(d.begun)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	fates, err := d.fates(ctx)
	if err != nil {
		return exit.Unreachablef("demo: %w", err)
	}
	time.Sleep(time.Until(d.journal.last().Add(demoLag))) // until the cloud lists its newest instance
	there, err := d.instances(ctx)
	if err != nil {
		return exit.Unreachablef("demo: %w", err)
	}
	d.say("")
	d.say("What happened")
	d.tellOthers(fates)
	for _, a := range d.script.accidents {
		d.tell(a, fates[a.job.Ref()])
	}
	d.totals(fates, there)
	if err := d.showMetrics(); err != nil {
		return err
	}
	broken := d.promises(fates, there)
	d.say("")
	if broken > 0 {
		d.say("%s broken: this is a fault of camsq. Please report it with the text above.", humanize.Plural(int64(broken), "promise"))
		return exit.ErrSomeFailed
	}
	d.say("All as promised, in %.1f s.", took.Seconds())
	d.say("")
	d.say("Next")
	d.say("  camsq fake --receiver 127.0.0.1:8081   the stand-ins alone, for workers that you start yourself")
	d.say("  camsq check                            are your Redis, your credentials and your receiver ready?")
	d.say("  camsq enqueue FILE --wait              queue a file of your own; camsq worker works it off")
	return nil
}

// fates reads every job's record.
func (d *demo) fates(ctx context.Context) (map[tasks.Ref]jobTrace, error) {
	ids := map[string][]string{}
	for _, j := range d.jobs {
		ids[j.Account] = append(ids[j.Account], j.ID)
	}
	fates := map[tasks.Ref]jobTrace{}
	for account, list := range ids {
		for page := range slices.Chunk(list, 200) {
			found, err := d.nodes[0].Ledger.GetMany(ctx, account, page)
			if err != nil {
				return nil, err
			}
			for _, f := range found {
				if f.Err != nil {
					return nil, f.Err
				}
				fates[f.Record.Ref()] = d.journal.fate(f.Record)
			}
		}
	}
	return fates, nil
}

// instanceName is what tells whose an instance is: the cloud itself lets a name
// be there twice.
type instanceName struct{ account, channelType, name string }

// instances asks the cloud, account by account, for the IDs of what is there.
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

// tellOthers tells of the jobs that nothing was done to.
func (d *demo) tellOthers(fates map[tasks.Ref]jobTrace) {
	smooth, rough := 0, []string{}
	for _, j := range d.jobs {
		if slices.ContainsFunc(d.script.accidents, func(a scenario) bool { return a.job.Ref() == j.Ref() }) {
			continue
		}
		r := fates[j.Ref()].record
		if r.State == tasks.StateCreated && r.Tries == 1 {
			smooth++
			continue
		}
		rough = append(rough, fmt.Sprintf("%s: %s, tries: %d, %s", jobName(j), r.State, r.Tries, r.Code))
	}
	d.say("  Of the jobs to which nothing was done, %d of %d were created by one call.", smooth, smooth+len(rough))
	for _, line := range rough[:min(len(rough), 5)] {
		d.say("  %s", line)
	}
	d.say("  These met an accident, on purpose:")
}

// tell tells one job's story.
func (d *demo) tell(a scenario, f jobTrace) {
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
	for i, at := range f.looks {
		text := "no such instance at the cloud before the call"
		switch {
		case at < after || after < 0:
		case f.record.Adopted && i == len(f.looks)-1:
			text = "one that was not there before the call: it is the job's. No second call"
		default:
			text = "no such instance yet, which proves nothing by itself"
			if r := f.record; !r.Adopted && i == len(f.looks)-1 && r.Tries > 1 {
				text = fmt.Sprintf("none for the whole settle window of %g s: it was not made, so call again", demoSettle.Seconds())
			}
		}
		moments = append(moments, moment{at, "look", text})
	}
	for i, w := range f.webhooks {
		text := fmt.Sprintf("%s, verified, answered %d", w.Event.Type, w.Status)
		switch {
		case w.Status >= 300:
			text = fmt.Sprintf("%s, verified, but the receiver answers %d", w.Event.Type, w.Status)
		case i > 0:
			text += ": same id, same bytes"
		case w.Event.Data.Adopted:
			text += `; it says "adopted": true`
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

func clipName(name string) string {
	name = humanize.Sanitize(name)
	if runes := []rune(name); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return name
}

func (d *demo) totals(fates map[tasks.Ref]jobTrace, there map[instanceName][]string) {
	states := map[tasks.State]int{}
	for _, f := range fates {
		states[f.record.State]++
	}
	outcomes := d.journal.outcomes()
	instances, most := countInstances(there)
	hooks := d.bed.Receiver.Counts()
	d.say("")
	d.say("Totals")
	d.say("  jobs       %d queued: %d created, %d failed, %d without an end", len(d.jobs), states[tasks.StateCreated],
		states[tasks.StateFailed], len(d.jobs)-states[tasks.StateCreated]-states[tasks.StateFailed])
	d.say("  calls      %d CreateInstance: %d succeeded, %d throttled, %d without an answer to rely on", d.bed.CAMS.Calls("CreateInstance"),
		outcomes[tasks.OutcomeSucceeded], outcomes[tasks.OutcomeThrottled], outcomes[tasks.OutcomeAmbiguous])
	d.say("  looks      %d ListInstance", d.bed.CAMS.Calls("ListInstance"))
	d.say("  instances  %d, of %s, never more than %d of one (counted at the cloud, not by us)", instances, humanize.Plural(int64(len(there)), "name"), most)
	d.say("  webhooks   %d received, %d verified, %d distinct", hooks.Received, hooks.Verified, hooks.Distinct)
}

// countInstances counts all instances, and those of the name that has the most.
func countInstances(there map[instanceName][]string) (all, most int) {
	for _, ids := range there {
		all += len(ids)
		most = max(most, len(ids))
	}
	return all, most
}

// promises prints each promise and whether it was kept, and returns how many
// were broken.
func (d *demo) promises(fates map[tasks.Ref]jobTrace, there map[instanceName][]string) (broken int) {
	d.say("")
	d.say("What was promised")
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
	var open, wrong, untold, unmended []string
	created := 0
	for _, j := range d.jobs {
		f := fates[j.Ref()]
		r := f.record
		name := jobName(j)
		if r.State == tasks.StateCreated {
			created++
			ids := there[instanceName{j.Account, j.Request.ChannelType, j.Request.InstanceName}]
			if r.Instance == nil || !slices.Contains(ids, r.Instance.InstanceID) {
				wrong = append(wrong, name+": the instance on record is not at the cloud")
			}
		}
		if !r.State.Final() {
			open = append(open, name+": it is still "+string(r.State))
		}
		if told := distinctIDs(f.webhooks); told != 1 || r.Callback.State != tasks.CallbackDelivered {
			untold = append(untold, fmt.Sprintf("%s: %d distinct webhooks, callback %q", name, told, r.Callback.State))
		}
	}
	for key, ids := range there {
		if len(ids) > 1 {
			wrong = append(wrong, fmt.Sprintf("%s %s: %d instances", key.channelType, clipName(key.name), len(ids)))
		}
	}
	if all, _ := countInstances(there); all != created || all != len(d.bed.CAMS.Instances()) {
		wrong = append(wrong, fmt.Sprintf("%d jobs are created, and the cloud has %d instances", created, len(d.bed.CAMS.Instances())))
	}
	for _, a := range d.script.accidents {
		if !a.mended(fates[a.job.Ref()]) {
			unmended = append(unmended, jobName(a.job)+": "+a.title+", and it did not end as it should")
		}
	}
	var unsigned []string
	if c := d.bed.Receiver.Counts(); c.Refused > 0 || c.Changed > 0 {
		unsigned = append(unsigned, fmt.Sprintf("%d did not verify, %d changed between two tries", c.Refused, c.Changed))
	}
	check("every job came to an end", open)
	check("at most one instance for each job, and the one on record", wrong)
	check("every outcome reached the receiver", untold)
	check("every webhook was signed, and the same on every try", unsigned)
	check("what went wrong was mended", unmended)
	check("no call that the API forbids (signature, nonce, method)", d.bed.CAMS.Violations())
	return broken
}

func distinctIDs(webhooks []callbacktest.Delivery) int {
	ids := map[string]bool{}
	for _, w := range webhooks {
		ids[w.ID] = true
	}
	return len(ids)
}

// shownMetrics are the counters that a newcomer understands.
var shownMetrics = []string{"camsq_calls_total", "camsq_lookups_total", "camsq_jobs_finished_total", "camsq_callback_tries_total"}

// showMetrics prints what counted, of both workers together.
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
	d.say("Metrics, as Prometheus would sum them over the workers")
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
