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
	"github.com/camsq/camsq/tasks"
)

// snapshot is the state of a trial after its workers have ended.
type snapshot struct {
	// jobs are those that were accepted. No two have the same instance name.
	jobs []tasks.Job
	// records are their records in the ledger, in the same order.
	records []tasks.Lookup
	// counters are the ledger's own counts.
	counters map[tasks.State]int64
	// instances are those of the API.
	instances []cams.Instance
	// events are the genuine webhooks by job ID, and webhooks the receiver's counts.
	events   map[string][]callbacktest.Delivery
	webhooks callbacktest.Counts
	// violations are invalid calls that the API saw, and crashes processes that ended unexpectedly.
	violations, crashes []string
}

// verdict is the result of a trial in numbers.
type verdict struct {
	Accepted        int            `json:"accepted"`
	Created         int            `json:"created"`
	CreatedByLookup int            `json:"created_by_lookup"`
	Failed          int            `json:"failed"`
	FailedBy        map[string]int `json:"failed_by_code"`
	Cancelled       int            `json:"cancelled"`
	Held            int            `json:"held"`
	InFlight        int            `json:"in_flight"`

	Instances  int `json:"instances"`
	Duplicates int `json:"duplicates"`
	Lost       int `json:"lost"`
	// Misreported is the number of false statements in records and webhooks.
	Misreported int `json:"misreported"`
	// HeldWithInstance is the number of held jobs that have their instance among the candidates.
	HeldWithInstance int `json:"held_with_instance"`
	// LastOutcome is the time when the last job ended, on Redis's clock.
	LastOutcome time.Time `json:"last_outcome,omitzero"`

	Owed         int `json:"callbacks_owed"` // ever
	Delivered    int `json:"callbacks_delivered"`
	Waiting      int `json:"callbacks_pending"`
	Dead         int `json:"callbacks_given_up"`
	Distinct     int `json:"webhooks_distinct"`
	Received     int `json:"webhooks_received"`
	Unsigned     int `json:"webhooks_bad_signature"`
	BodyMismatch int `json:"webhooks_body_mismatch"`

	Findings []finding `json:"findings"`
}

// finding is one violation of the promise.
type finding struct {
	Job  string `json:"job,omitempty"`
	Text string `json:"text"`
	// Timeline is the job's record and what was observed of it.
	Timeline []string `json:"timeline,omitempty"`
}

// verify compares the ledger with what the API and the receiver saw, in both directions: a
// created job needs its instance, and an instance needs its job.
func verify(s snapshot) verdict {
	v := verdict{
		Accepted: len(s.jobs), FailedBy: map[string]int{}, Instances: len(s.instances),
		Distinct: s.webhooks.Distinct, Received: s.webhooks.Received,
		Unsigned: s.webhooks.Refused, BodyMismatch: s.webhooks.Changed,
		Findings: []finding{},
	}
	there := map[string][]string{} // instance IDs by name
	names := map[string]string{}   // of the API's instances, by ID
	for _, i := range s.instances {
		there[i.InstanceName] = append(there[i.InstanceName], i.InstanceID)
		names[i.InstanceID] = i.InstanceName
	}
	states := map[tasks.State]int64{}
	known := map[string]bool{}
	for n, job := range s.jobs {
		known[job.ID] = true
		states[inspect.StateOf(s.records[n])]++
		v.verifyJob(job, s.records[n], there[job.Request.InstanceName], s.events[job.ID])
		if found := s.records[n]; found.Err == nil && found.Record.State == tasks.StateHeld {
			v.verifyHeld(found.Record, there[job.Request.InstanceName], names)
		}
		delete(there, job.Request.InstanceName)
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		v.Duplicates += len(there[name])
		v.find("", "the API has instances named %s, which no job asked for: %s", name, strings.Join(there[name], ", "))
	}
	for _, id := range slices.Sorted(maps.Keys(s.events)) {
		if !known[id] {
			v.find("", "a webhook reports job %s, which was never sent", id)
		}
	}
	if sum := v.Created + v.Failed + v.Cancelled + v.Held + v.InFlight; sum != v.Accepted {
		v.find("", "%d jobs were accepted, and %d have a state", v.Accepted, sum)
	}
	for _, state := range tasks.States() {
		if s.counters[state] != states[state] {
			v.find("", "the ledger counts %d jobs as %s, and has %d such records", s.counters[state], state, states[state])
		}
	}
	if v.Unsigned > 0 || v.BodyMismatch > 0 {
		v.find("", "%d webhooks had no valid signature, %d came again with another body", v.Unsigned, v.BodyMismatch)
	}
	for _, c := range s.violations {
		v.find("", "the API saw an invalid call: %s", c)
	}
	for _, c := range s.crashes {
		v.find("", "%s", c)
	}
	return v
}

func (v *verdict) find(job, format string, args ...any) {
	v.Findings = append(v.Findings, finding{Job: job, Text: fmt.Sprintf(format, args...)})
}

func (v *verdict) lost(job, format string, args ...any) {
	v.Lost++
	v.find(job, "lost: "+format, args...)
}

func (v *verdict) misreport(job, format string, args ...any) {
	v.Misreported++
	v.find(job, "misreported: "+format, args...)
}

// verifyHeld checks the candidates that a held job offers the operator: its instance, if it
// has one, and no other job's. IDs that an answer invented may be among them.
func (v *verdict) verifyHeld(r tasks.Record, instances []string, names map[string]string) {
	right := 0
	for _, id := range r.Candidates {
		name, exists := names[id]
		switch {
		case slices.Contains(instances, id):
			right++
		case exists:
			v.misreport(r.ID, "it is held for instance %s, which belongs to %s", id, name)
		case !slices.Contains(madeUp, id):
			v.misreport(r.ID, "it is held for instance %s, which does not exist", id)
		}
	}
	switch {
	case right > 0:
		v.HeldWithInstance++
	case len(instances) > 0:
		v.misreport(r.ID, "it is held without its instance %s among the candidates %v", instances[0], r.Candidates)
	}
}

// verifyJob checks one job by its record, the instances of its name and its webhooks.
func (v *verdict) verifyJob(job tasks.Job, found tasks.Lookup, instances []string, events []callbacktest.Delivery) {
	if n := len(instances); n > 1 {
		v.Duplicates += n - 1
		v.find(job.ID, "duplicate: the API has %d instances of it: %s", n, strings.Join(instances, ", "))
	}
	if found.Err != nil {
		v.lost(job.ID, "it was accepted, and its record cannot be read: %v", found.Err)
		return
	}
	r := found.Record
	switch r.State {
	case tasks.StateCreated:
		v.Created++
		if r.Adopted {
			v.CreatedByLookup++
		}
		if r.Instance == nil || !slices.Contains(instances, r.Instance.InstanceID) {
			v.lost(job.ID, "the ledger says created, and the API does not have that instance")
		}
	case tasks.StateFailed:
		v.Failed++
		v.FailedBy[r.Code]++
	case tasks.StateCancelled:
		v.Cancelled++
	case tasks.StateHeld:
		v.Held++
	case tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain:
		v.InFlight++
	}
	if r.State.EventType() != "" && r.Since.After(v.LastOutcome) {
		v.LastOutcome = r.Since
	}
	none := []tasks.State{tasks.StateFailed, tasks.StateCancelled, tasks.StateQueued}
	if len(instances) > 0 && slices.Contains(none, r.State) {
		v.lost(job.ID, "the ledger says %s, and the API has instance %s", r.State, instances[0])
	}
	v.verifyCallback(r, events)
}

// verifyCallback checks a job's webhooks against its record.
func (v *verdict) verifyCallback(r tasks.Record, events []callbacktest.Delivery) {
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
			v.misreport(r.ID, "two outcomes were reported: %s and %s", events[0].ID, a.ID)
		}
		if a.Event.Type != r.State.EventType() || id != want {
			v.misreport(r.ID, "a webhook says %s (instance %q), and the ledger %s (instance %q)", a.Event.Type, id, r.State, want)
		}
	}
	if r.State.EventType() == "" {
		return
	}
	v.Owed++
	switch r.Callback.State {
	case tasks.CallbackDelivered:
		v.Delivered++
		if !slices.ContainsFunc(events, func(a callbacktest.Delivery) bool { return a.Status < 300 }) {
			v.misreport(r.ID, "its callback counts as delivered, and the receiver never accepted it")
		}
	case tasks.CallbackOwed:
		v.Waiting++
	case tasks.CallbackDead, tasks.CallbackGone:
		v.Dead++
	case tasks.CallbackNone:
		v.find(r.ID, "it is %s and has no callback", r.State)
	}
}
