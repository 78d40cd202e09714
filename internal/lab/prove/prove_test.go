package prove

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// goodSnapshot has one job of each final state, one held and one uncertain, and keeps the
// promise.
func goodSnapshot() snapshot {
	e := snapshot{counters: map[tasks.State]int64{}, events: map[string][]callbacktest.Delivery{}, webhooks: callbacktest.Counts{Received: 4, Verified: 4, Distinct: 3}}
	for i, s := range []tasks.State{tasks.StateCreated, tasks.StateFailed, tasks.StateCancelled, tasks.StateHeld, tasks.StateUncertain} {
		id := string(s)
		job := tasks.Job{ID: id, Account: "prove-1", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "name_" + id}}
		r := tasks.Record{Job: job, State: s}
		if s == tasks.StateCreated || s == tasks.StateUncertain {
			instance := fmt.Sprintf("10%d", i)
			e.instances = append(e.instances, cams.Instance{InstanceID: instance, InstanceName: job.Request.InstanceName})
			if s == tasks.StateCreated {
				r.Instance = &tasks.EventInstance{InstanceID: instance}
			}
		}
		if event, ok := r.Event(); ok {
			r.Callback.State = tasks.CallbackDelivered
			e.events[id] = []callbacktest.Delivery{{ID: "evt_" + id, Event: event, Status: 204}}
		}
		e.jobs, e.records = append(e.jobs, job), append(e.records, tasks.Lookup{Record: r})
		e.counters[s]++
	}
	e.events["created"] = append([]callbacktest.Delivery{{ID: "evt_created", Event: e.events["created"][0].Event, Status: 500}}, e.events["created"]...)
	return e
}

// A verification that finds nothing proves nothing, so each planted error must be found.
func TestVerifyFindsEachPlantedError(t *testing.T) {
	t.Parallel()
	record := func(e *snapshot, id string) *tasks.Lookup {
		return &e.records[slices.IndexFunc(e.jobs, func(j tasks.Job) bool { return j.ID == id })]
	}
	add := func(name string) func(*snapshot) {
		return func(e *snapshot) {
			e.instances = append(e.instances, cams.Instance{InstanceID: "999", InstanceName: name})
		}
	}
	for _, tt := range []struct {
		name             string
		plant            func(*snapshot)
		duplicates, lost int
		want             string // "" if all is well
	}{
		{"nothing", func(*snapshot) {}, 0, 0, ""},
		{"a second instance", add("name_created"), 1, 0, "created: duplicate: the API has 2 instances"},
		{"a second instance while in flight", add("name_uncertain"), 1, 0, "uncertain: duplicate"},
		{"an instance of a failed job", add("name_failed"), 0, 1, "failed: lost: the ledger says failed, and the API has instance 999"},
		{"an instance of a cancelled job", add("name_cancelled"), 0, 1, "cancelled: lost"},
		{"an instance of no job", add("name_created_2"), 1, 0, "which no job asked for: 999"},
		{"an instance of a queued job", func(e *snapshot) {
			record(e, "uncertain").Record.State = tasks.StateQueued
			e.counters[tasks.StateUncertain], e.counters[tasks.StateQueued] = 0, 1
		}, 0, 1, "uncertain: lost: the ledger says queued"},
		{"a record is gone", func(e *snapshot) {
			*record(e, "failed") = tasks.Lookup{Err: fmt.Errorf("ledger: %w", tasks.ErrNotFound)}
		}, 0, 1, "failed: lost: it was accepted, and its record cannot be read"},
		{"a record cannot be read", func(e *snapshot) {
			*record(e, "held") = tasks.Lookup{Err: fmt.Errorf("ledger: %w", tasks.ErrUnreadable)}
		}, 0, 1, "held: lost"},
		{"created without an instance", func(e *snapshot) { e.instances = e.instances[1:] }, 0, 1, "created: lost: the ledger says created"},
		{"created with another's instance", func(e *snapshot) {
			record(e, "created").Record.Instance.InstanceID = "104"
		}, 0, 1, "created: lost"},
		{"the counters are wrong", func(e *snapshot) { e.counters[tasks.StateFailed]++ }, 0, 0, "the ledger counts 2 jobs as failed, and has 1 such records"},
		{"delivered without a receiver", func(e *snapshot) { e.events["created"] = e.events["created"][:1] }, 0, 0, "created: misreported: its callback counts as delivered"},
		{"no callback", func(e *snapshot) { record(e, "held").Record.Callback.State = tasks.CallbackNone }, 0, 0, "held: it is held and has no callback"},
		{"two outcomes", func(e *snapshot) {
			second := e.events["failed"][0]
			second.ID = "evt_other"
			e.events["failed"] = append(e.events["failed"], second)
		}, 0, 0, "failed: misreported: two outcomes were reported"},
		{"a wrong outcome", func(e *snapshot) { e.events["failed"][0].Event.Type = tasks.EventInstanceCreated }, 0, 0, "failed: misreported: a webhook says instance.created"},
		{"reported before the end", func(e *snapshot) { e.events["uncertain"] = e.events["failed"] }, 0, 0, "uncertain: misreported: a webhook says instance.failed"},
		{"a webhook of an unknown job", func(e *snapshot) { e.events["stranger"] = e.events["failed"] }, 0, 0, "job stranger, which was never sent"},
		{"held without its instance", func(e *snapshot) {
			e.instances = append(e.instances, cams.Instance{InstanceID: "777", InstanceName: "name_held"})
		}, 0, 0, "held: misreported: it is held without its instance 777"},
		{"held with its instance", func(e *snapshot) {
			e.instances = append(e.instances, cams.Instance{InstanceID: "777", InstanceName: "name_held"})
			record(e, "held").Record.Candidates = []string{"777", madeUp[0]}
		}, 0, 0, ""},
		{"held for another's instance", func(e *snapshot) {
			record(e, "held").Record.Candidates = []string{"100"}
		}, 0, 0, "held: misreported: it is held for instance 100, which belongs to name_created"},
		{"held for an instance that does not exist", func(e *snapshot) {
			record(e, "held").Record.Candidates = []string{"888"}
		}, 0, 0, "held: misreported: it is held for instance 888, which does not exist"},
		{"two bodies", func(e *snapshot) { e.webhooks.Changed = 1 }, 0, 0, "1 came again with another body"},
		{"unsigned", func(e *snapshot) { e.webhooks.Refused = 1 }, 0, 0, "1 webhooks had no valid signature"},
		{"an invalid call", func(e *snapshot) { e.violations = []string{"SignatureNonceUsed"} }, 0, 0, "SignatureNonceUsed"},
		{"a crash", func(e *snapshot) { e.crashes = []string{"worker 1 ended unexpectedly"} }, 0, 0, "worker 1 ended unexpectedly"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := goodSnapshot()
			tt.plant(&e)
			b := verify(e)
			if b.Duplicates != tt.duplicates || b.Lost != tt.lost {
				t.Errorf("%d duplicates, %d lost; want %d and %d", b.Duplicates, b.Lost, tt.duplicates, tt.lost)
			}
			var said []string
			for _, f := range b.Findings {
				said = append(said, strings.TrimPrefix(f.Job+": "+f.Text, ": "))
			}
			all := strings.Join(said, "\n")
			if (tt.want == "") != (len(said) == 0) || !strings.Contains(all, tt.want) {
				t.Errorf("it finds:\n%s\nwant %q", all, tt.want)
			}
		})
	}
	b := verify(goodSnapshot())
	want := verdict{
		Accepted: 5, Created: 1, Failed: 1, FailedBy: map[string]int{"": 1}, Cancelled: 1, Held: 1, InFlight: 1,
		Instances: 2, Owed: 3, Delivered: 3, Distinct: 3, Received: 4,
		Findings: []finding{},
	}
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("the verdict (-want +got):\n%s", diff)
	}
}

func TestTheSeedDecidesThePlan(t *testing.T) {
	t.Parallel()
	o := Options{Jobs: 1000, Kills: 15, Workers: 3, Stops: 2, Seed: 1, Faults: 0.2}
	plan := makePlan(o, true)
	show := func(p []fault) string { return fmt.Sprintf("%+v", p) }
	if show(plan) != show(makePlan(o, true)) {
		t.Error("the same seed gives another plan")
	}
	other := o
	other.Seed = 2
	if show(plan) == show(makePlan(other, true)) {
		t.Error("another seed gives the same plan")
	}
	got := map[faultKind]int{}
	for _, m := range plan {
		got[m.kind]++
		if m.worker < 0 || m.worker >= o.Workers || m.at > o.chaos()+time.Second {
			t.Errorf("fault %+v is out of bounds", m)
		}
		// What is held back must have come and be listed before the settle window ends.
		if m.kind == faultCutAPI && m.length+proveLatency+proveListLag >= proveSettle {
			t.Errorf("fault %+v holds a request for too long", m)
		}
		if m.kind == faultFreeze && (m.length <= 30*time.Second || m.length >= proveDeadline+o.settleWindow()) {
			t.Errorf("fault %+v is not longer than a lease, or too long", m)
		}
	}
	want := map[faultKind]int{faultKill: 15, faultFreeze: 2, faultRedis: 2, faultCutRedis: 5, faultCutAPI: 8}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	for _, m := range makePlan(o, false) {
		if m.kind == faultRedis {
			t.Error("the plan kills the user's Redis")
		}
	}
}

func TestFaultsAreOfEveryKindAndOfTheShareThatWasAsked(t *testing.T) {
	t.Parallel()
	o := Options{Seed: 3, Faults: 0.2}
	kinds, faults := map[string]bool{}, 0
	const calls = 5000
	for i := range calls {
		if f := createFault(o, fmt.Sprint("name", i), 0); f != nil {
			faults++
			kinds[fmt.Sprint(f.Reply, f.Created)] = true
		}
	}
	if share := float64(faults) / calls; share < 0.18 || share > 0.22 {
		t.Errorf("%v of the calls meet a fault, want 0.2", share)
	}
	if len(kinds) < 30 {
		t.Errorf("only %d kinds of faults: %v", len(kinds), kinds)
	}
}

func TestOdditiesAreThoseThatWereAskedFor(t *testing.T) {
	t.Parallel()
	kinds := func(list string) (seen map[string]bool, o Options) {
		o = Options{Seed: 3, Faults: 0.5, Jobs: 1000, Kills: 15, Workers: 3}
		var err error
		if o.Oddities, err = ParseOddities(list); err != nil {
			t.Fatal(err)
		}
		seen = map[string]bool{}
		for i := range 5000 {
			name := o.name(i)
			if f := createFault(o, name, 0); f != nil {
				seen["codes"] = seen["codes"] || f.Code != ""
				seen["contradictions"] = seen["contradictions"] || f.Answer != nil
				if f.Reply == camstest.ReplyContradiction && !f.Created {
					seen["contradictions"] = true
				}
			}
			seen["names"] = seen["names"] || o.stored(name) != name
		}
		for _, m := range makePlan(o, true) {
			seen["pages"] = seen["pages"] || m.kind == faultPages
			seen["codes"] = seen["codes"] || m.kind == faultRefused
		}
		return seen, o
	}
	for _, list := range []string{"none", "names", "codes", "pages", "contradictions", "names,pages", "all"} {
		seen, o := kinds(list)
		for _, kind := range oddities {
			if want := list == "all" || strings.Contains(list, string(kind)); seen[string(kind)] != want {
				t.Errorf("--odd %s: %s %v, want %v", list, kind, seen[string(kind)], want)
			}
		}
		stored := map[string]bool{}
		for i := range 1000 {
			stored[o.stored(o.name(i))] = true
		}
		if len(stored) != 1000 {
			t.Errorf("--odd %s: %d different names of 1000", list, len(stored))
		}
	}
	if _, err := ParseOddities("names,weather"); err == nil || !strings.Contains(err.Error(), "names,weather") {
		t.Errorf("got %v", err)
	}
	o := Options{Seed: 1, Jobs: 10, Kills: 3, Workers: 1, Away: time.Minute}
	if !slices.ContainsFunc(makePlan(o, true), func(m fault) bool { return m.kind == faultAway && m.length == time.Minute }) {
		t.Error("--away is not in the plan")
	}
}
