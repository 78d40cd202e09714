package tasks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/tasks"
)

func settled() tasks.Record {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return tasks.Record{
		Job: tasks.Job{
			ID: "order.7", Account: "default", Batch: "march",
			Request: tasks.Request{
				ChannelType: "VIBER", InstanceName: "viber_ins", InstanceDescription: "for Ana",
				ContactMail: "ana@example.com", OfficeAddress: "1 Main St",
			},
			CallbackURL: "https://example.com/hook?token=s3cret",
		},
		State: tasks.StateCreated, Version: "7", Since: at, EnqueuedAt: at.Add(-time.Minute), Now: at,
		Progress: tasks.Progress{
			Code: "OK", RequestID: "R-1", Tries: 1,
			Instance: &tasks.EventInstance{InstanceID: "i-1", InstanceName: "viber_ins", ChannelType: "VIBER"},
		},
	}
}

func body(t *testing.T, r tasks.Record) []byte {
	t.Helper()
	e, ok := r.Event()
	if !ok {
		t.Fatalf("a record that is %s owes no event", r.State)
	}
	b, err := tasks.EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryTryOfOneOutcomeCarriesTheSameBytes(t *testing.T) {
	first := settled()
	later := settled()
	later.Version, later.Now, later.Due = "9", later.Now.Add(time.Hour), later.Now.Add(2*time.Hour)
	later.Callback = tasks.CallbackProgress{State: tasks.CallbackOwed, Tries: 4, Reason: tasks.ReasonTimeout}
	if a, b := body(t, first), body(t, later); string(a) != string(b) {
		t.Errorf("a callback's own progress changes its body:\n%s\n%s", a, b)
	}
}

func TestAnotherOutcomeHasAnotherEventID(t *testing.T) {
	base := tasks.EventID(body(t, settled()))
	if strings.Contains(base, ".") {
		t.Errorf("the ID %q holds a dot", base)
	}
	for name, change := range map[string]func(*tasks.Record){
		"state":              func(r *tasks.Record) { r.State = tasks.StateHeld },
		"held a second time": func(r *tasks.Record) { r.Since = r.Since.Add(time.Second) },
		"job":                func(r *tasks.Record) { r.ID = "order.8" },
		"account":            func(r *tasks.Record) { r.Account = "other" },
	} {
		r := settled()
		change(&r)
		if tasks.EventID(body(t, r)) == base {
			t.Errorf("another %s has the same event ID", name)
		}
	}
}

func TestOnlyAnEndOrAHeldJobOwesAnEvent(t *testing.T) {
	want := map[tasks.State]tasks.EventType{
		tasks.StateCreated: tasks.EventInstanceCreated,
		tasks.StateFailed:  tasks.EventInstanceFailed,
		tasks.StateHeld:    tasks.EventInstanceHeld,
	}
	for _, s := range tasks.States() {
		r := settled()
		r.State = s
		e, ok := r.Event()
		if e.Type != want[s] || ok != (want[s] != "") {
			t.Errorf("%s: event %q, %t; want %q", s, e.Type, ok, want[s])
		}
	}
}

func TestAnEventTellsNothingPersonal(t *testing.T) {
	got := string(body(t, settled()))
	for _, secret := range []string{"ana@", "Main St", "for Ana", "s3cret"} {
		if strings.Contains(got, secret) {
			t.Errorf("the event holds %q: %s", secret, got)
		}
	}
}

func TestWaitIsNeverNegative(t *testing.T) {
	r := settled()
	if r.Wait() != 0 {
		t.Errorf("a record without Due waits %s", r.Wait())
	}
	r.Due = r.Now.Add(3 * time.Second)
	if r.Wait() != 3*time.Second {
		t.Errorf("Wait = %s, want 3s", r.Wait())
	}
}

func TestABaselineThatNobodyLookedUpHoldsNothing(t *testing.T) {
	empty, one := []string{}, []string{"i-1"}
	for _, tt := range []struct {
		name     string
		baseline *[]string
		want     bool
	}{{"not looked", nil, false}, {"none stood there", &empty, false}, {"one stood there", &one, true}} {
		if got := (tasks.Progress{Baseline: tt.baseline}).InBaseline("i-1"); got != tt.want {
			t.Errorf("%s: InBaseline = %t", tt.name, got)
		}
	}
}

func TestAnotherBudgetForgetsEverythingButADoubt(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	baseline, nearby := []string{"i-1"}, []string{"i-7"}
	for _, doubted := range []bool{false, true} {
		p := tasks.Progress{
			Tries: 10, FirstTry: at, Delays: 3, Baseline: &baseline, Doubted: doubted, Lookups: 4, Candidates: []string{"i-2"},
			Nearby: nearby, NearbyMany: true,
			Code: tasks.CodeTriesSpent, Message: "gave up", RequestID: "R-1",
			Callback: tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 8, Reason: tasks.ReasonTimeout},
		}
		p.Renew(tasks.CodeResolved, "again")
		want := tasks.Progress{Code: tasks.CodeResolved, Message: "again"}
		if doubted {
			want.Baseline, want.Doubted, want.Nearby, want.NearbyMany = &baseline, true, nearby, true
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("doubted is %t (-want +got):\n%s", doubted, diff)
		}
		if p.LookupFirst() != doubted {
			t.Errorf("doubted is %t: LookupFirst = %t", doubted, p.LookupFirst())
		}
	}
	if (tasks.Progress{Doubted: true, Tries: 1}).LookupFirst() {
		t.Error("a job that recovery has put back is looked up once more")
	}
}

// An operator's word counts for every instance that was in question, also for a job that
// was never in doubt: its next budget does not begin with the same question.
func TestAPersonsWordOutlivesABudget(t *testing.T) {
	baseline := []string{"i-1"}
	for _, doubted := range []bool{false, true} {
		p := tasks.Progress{Baseline: &baseline, Candidates: []string{"i-2"}, Nearby: []string{"i-3"}, Doubted: doubted}
		p.Absolve()
		p.Renew(tasks.CodeResolved, "none of them")
		for id, want := range map[string]bool{"i-1": true, "i-2": true, "i-3": doubted, "i-4": false} {
			if p.InBaseline(id) != want {
				t.Errorf("doubted is %t: %s is judged: %t, want %t", doubted, id, !want, want)
			}
		}
		if len(p.Candidates) > 0 || !p.Vouched || p.LookupFirst() != doubted {
			t.Errorf("doubted is %t: %+v", doubted, p)
		}
	}
}
