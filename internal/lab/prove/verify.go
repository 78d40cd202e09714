package prove

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// snapshot is what is known after a proof's workers have ended.
type snapshot struct {
	// jobs are those that were accepted. No two have the same instance name.
	jobs []tasks.Job
	// records are what the ledger has of them, in the same order.
	records []ledger.Found
	// counters are the ledger's own counts.
	counters map[tasks.State]int64
	// instances are what the cloud has.
	instances []cams.Instance
	// events are the genuine webhooks by job, and webhooks all that came.
	events   map[string][]callbacktest.Delivery
	webhooks callbacktest.Counts
	// complaints are what the cloud says of its clients, and crashes what ended by itself.
	complaints, crashes []string
}

// verdict are the numbers that a proof ends with.
type verdict struct {
	Accepted  int            `json:"accepted"`
	Created   int            `json:"created"`
	Adopted   int            `json:"created_found_by_a_look"`
	Failed    int            `json:"failed"`
	FailedBy  map[string]int `json:"failed_by_code"`
	Cancelled int            `json:"cancelled"`
	Held      int            `json:"held"`
	InFlight  int            `json:"in_flight"`

	Instances  int `json:"instances"`
	Duplicates int `json:"duplicates"`
	Lost       int `json:"lost"`
	// Misreported are jobs of which something untrue is recorded or told.
	Misreported int `json:"misreported"`
	// HeldRight are the held jobs that have their instance among the candidates.
	HeldRight int `json:"held_with_their_instance"`
	// LastOutcome is when the last job ended, on Redis's clock.
	LastOutcome time.Time `json:"last_outcome,omitzero"`

	Owed      int `json:"callbacks_owed"` // ever
	Delivered int `json:"callbacks_delivered"`
	Waiting   int `json:"callbacks_not_yet_delivered"`
	Dead      int `json:"callbacks_given_up"`
	Distinct  int `json:"webhooks_distinct"`
	Received  int `json:"webhooks_received"`
	Unsigned  int `json:"webhooks_without_a_good_signature"`
	TwoBodies int `json:"webhooks_with_two_bodies"`

	Findings []finding `json:"findings"`
}

// finding is one thing that must not be.
type finding struct {
	Job  string `json:"job,omitempty"`
	Text string `json:"text"`
	// Story is what is known of the job.
	Story []string `json:"story,omitempty"`
}

// verify holds the ledger against the witnesses. It believes neither: a created job
// needs its instance at the cloud, and an instance needs its job.
func verify(e snapshot) verdict {
	b := verdict{
		Accepted: len(e.jobs), FailedBy: map[string]int{}, Instances: len(e.instances),
		Distinct: e.webhooks.Distinct, Received: e.webhooks.Received,
		Unsigned: e.webhooks.Refused, TwoBodies: e.webhooks.Changed,
		Findings: []finding{},
	}
	there := map[string][]string{} // instance IDs by name
	names := map[string]string{}   // of the cloud's instances, by ID
	for _, i := range e.instances {
		there[i.InstanceName] = append(there[i.InstanceName], i.InstanceID)
		names[i.InstanceID] = i.InstanceName
	}
	states := map[tasks.State]int64{}
	known := map[string]bool{}
	for n, job := range e.jobs {
		known[job.ID] = true
		states[inspect.StateOf(e.records[n])]++
		b.verifyJob(job, e.records[n], there[job.Request.InstanceName], e.events[job.ID])
		if found := e.records[n]; found.Err == nil && found.Record.State == tasks.StateHeld {
			b.verifyHeld(found.Record, there[job.Request.InstanceName], names)
		}
		delete(there, job.Request.InstanceName)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		b.Duplicates += len(there[name])
		b.find("", "the cloud has instances named %s, which no job asked for: %s", name, strings.Join(there[name], ", "))
	}
	for _, id := range slices.Sorted(maps.Keys(e.events)) {
		if !known[id] {
			b.find("", "a webhook tells of job %s, which was never sent", id)
		}
	}
	if sum := b.Created + b.Failed + b.Cancelled + b.Held + b.InFlight; sum != b.Accepted {
		b.find("", "the books do not balance: %d jobs accepted, %d in some state", b.Accepted, sum)
	}
	for _, s := range tasks.States() {
		if e.counters[s] != states[s] {
			b.find("", "the ledger counts %d jobs as %s, and %d records are", e.counters[s], s, states[s])
		}
	}
	if b.Unsigned > 0 || b.TwoBodies > 0 {
		b.find("", "%d webhooks came without a good signature, %d came again with another body", b.Unsigned, b.TwoBodies)
	}
	for _, c := range e.complaints {
		b.find("", "the cloud complains: %s", c)
	}
	for _, c := range e.crashes {
		b.find("", "%s", c)
	}
	return b
}

func (b *verdict) find(job, format string, args ...any) {
	b.Findings = append(b.Findings, finding{Job: job, Text: fmt.Sprintf(format, args...)})
}

func (b *verdict) lost(job, format string, args ...any) {
	b.Lost++
	b.find(job, "lost: "+format, args...)
}

func (b *verdict) misreport(job, format string, args ...any) {
	b.Misreported++
	b.find(job, "misreported: "+format, args...)
}

// verifyHeld judges what a person is asked to choose from: the job's instance, if there
// is one, and none that is another's. What an answer made up may be there too.
func (b *verdict) verifyHeld(r tasks.Record, instances []string, names map[string]string) {
	right := 0
	for _, id := range r.Candidates {
		name, exists := names[id]
		switch {
		case slices.Contains(instances, id):
			right++
		case exists:
			b.misreport(r.ID, "it is held for instance %s, which is that of %s", id, name)
		case !slices.Contains(madeUp, id):
			b.misreport(r.ID, "it is held for instance %s, which the cloud does not have", id)
		}
	}
	switch {
	case right > 0:
		b.HeldRight++
	case len(instances) > 0:
		b.misreport(r.ID, "it is held without its instance %s among the candidates %v", instances[0], r.Candidates)
	}
}

// verifyJob judges one job by its record, the instances of its name and its webhooks.
func (b *verdict) verifyJob(job tasks.Job, found ledger.Found, instances []string, events []callbacktest.Delivery) {
	if n := len(instances); n > 1 {
		b.Duplicates += n - 1
		b.find(job.ID, "duplicate: the cloud has %d instances of it: %s", n, strings.Join(instances, ", "))
	}
	if found.Err != nil {
		b.lost(job.ID, "it was accepted, and now: %v", found.Err)
		return
	}
	r := found.Record
	switch r.State {
	case tasks.StateCreated:
		b.Created++
		if r.Adopted {
			b.Adopted++
		}
		if r.Instance == nil || !slices.Contains(instances, r.Instance.InstanceID) {
			b.lost(job.ID, "the ledger says created, and the cloud does not have that instance")
		}
	case tasks.StateFailed:
		b.Failed++
		b.FailedBy[r.Code]++
	case tasks.StateCancelled:
		b.Cancelled++
	case tasks.StateHeld:
		b.Held++
	case tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain:
		b.InFlight++
	}
	if r.State.EventType() != "" && r.Since.After(b.LastOutcome) {
		b.LastOutcome = r.Since
	}
	none := []tasks.State{tasks.StateFailed, tasks.StateCancelled, tasks.StateQueued}
	if len(instances) > 0 && slices.Contains(none, r.State) {
		b.lost(job.ID, "the ledger says %s, and the cloud has instance %s", r.State, instances[0])
	}
	b.verifyCallback(r, events)
}

// verifyCallback judges what was told of a job against how it stands.
func (b *verdict) verifyCallback(r tasks.Record, events []callbacktest.Delivery) {
	for _, a := range events {
		id := ""
		if a.Event.Data.Instance != nil {
			id = a.Event.Data.Instance.InstanceID
		}
		want := ""
		if r.Instance != nil {
			want = r.Instance.InstanceID
		}
		if a.ID != events[0].ID {
			b.misreport(r.ID, "two outcomes were told: %s and %s", events[0].ID, a.ID)
		}
		if a.Event.Type != r.State.EventType() || id != want {
			b.misreport(r.ID, "a webhook says %s (instance %q), and the ledger %s (instance %q)", a.Event.Type, id, r.State, want)
		}
	}
	if r.State.EventType() == "" {
		return
	}
	b.Owed++
	switch r.Callback.State {
	case tasks.CallbackDelivered:
		b.Delivered++
		if !slices.ContainsFunc(events, func(a callbacktest.Delivery) bool { return a.Status < 300 }) {
			b.misreport(r.ID, "its callback counts as delivered, and the receiver has never taken it")
		}
	case tasks.CallbackOwed:
		b.Waiting++
	case tasks.CallbackDead, tasks.CallbackGone:
		b.Dead++
	case tasks.CallbackNone:
		b.find(r.ID, "it is %s and owes no callback", r.State)
	}
}
