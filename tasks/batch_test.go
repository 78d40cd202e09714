package tasks_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/tasks"
)

func TestACompletionIsNamedLikeNoJob(t *testing.T) {
	for _, ref := range []tasks.BatchRef{
		{Account: "default", Batch: "march", Completion: 1},
		{Account: "a_b-2", Batch: "tenants of march #2/渠道.csv", Completion: 12},
		{Account: "default", Batch: "#", Completion: 3},
		{Account: "default", Batch: strings.Repeat("批", 128), Completion: 1},
	} {
		got, err := tasks.ParseBatchRef(ref.String())
		if err != nil || got != ref {
			t.Errorf("%q reads as %+v, %v", ref, got, err)
		}
		if job, err := tasks.ParseRef(ref.String()); err == nil {
			t.Errorf("%q reads as job %+v too", ref, job)
		}
	}
	for _, name := range []string{
		"", "default/march", "default/#1", "default/march#", "default/march#0", "default/march#-1", "default/march#01", "default/march#+1",
		"default/march#1x", "march#1", "De fault/march#1", "default/a\nb#1", "default/" + strings.Repeat("x", 129) + "#1",
	} {
		if ref, err := tasks.ParseBatchRef(name); err == nil {
			t.Errorf("%q reads as %+v, want an error", name, ref)
		}
	}
}

func TestTheMostFrequentCodesComeFirst(t *testing.T) {
	codes := map[string]int64{"B": 2, "A": 2, "C": 7, "D": 1, "E": 1, tasks.CodeOther: 5, "gone": 0}
	for n, want := range map[int][]tasks.CodeCount{
		0: {{tasks.CodeOther, 18}},
		3: {{"C", 7}, {"A", 2}, {"B", 2}, {tasks.CodeOther, 7}},
		9: {{"C", 7}, {"A", 2}, {"B", 2}, {"D", 1}, {"E", 1}, {tasks.CodeOther, 5}},
	} {
		if diff := cmp.Diff(want, tasks.TopCodes(codes, n)); diff != "" {
			t.Errorf("top %d (-want +got):\n%s", n, diff)
		}
	}
	if got := tasks.TopCodes(nil, 3); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func completion() tasks.Completion {
	return tasks.Completion{
		BatchRef: tasks.BatchRef{Account: "eu", Batch: "march", Completion: 2},
		Facts: tasks.Batch{
			Account: "eu", Name: "march", Completions: 2,
			Jobs:      map[tasks.State]int64{tasks.StateCreated: 20, tasks.StateFailed: 13, tasks.StateCancelled: 1, tasks.StateQueued: 0},
			Codes:     map[string]int64{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1, "k": 3},
			Started:   time.UnixMilli(1_800_000_000_001),
			Closed:    time.UnixMilli(1_800_000_005_000),
			Completed: time.UnixMilli(1_800_000_009_000),
		},
	}
}

func TestACompletionIsToldByItsFactsAlone(t *testing.T) {
	e := completion().Event()
	want := &tasks.EventBatch{
		Completion: 2, Jobs: tasks.EventBatchJobs{Total: 34, Created: 20, Failed: 13, Cancelled: 1},
		Codes:     map[string]int64{"k": 3, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1, "other": 1},
		StartedAt: time.UnixMilli(1_800_000_000_001), ClosedAt: time.UnixMilli(1_800_000_005_000), CompletedAt: time.UnixMilli(1_800_000_009_000),
	}
	if diff := cmp.Diff(want, e.Data.Batch); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if e.Type != tasks.EventBatchCompleted || e.Data.BatchID != "march" || e.Data.Account != "eu" || !e.Timestamp.Equal(want.CompletedAt) {
		t.Errorf("event: %+v", e)
	}
	first, err := tasks.EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	again := completion()
	again.Callback, again.Version = tasks.CallbackProgress{State: tasks.CallbackOwed, Tries: 4}, "x"
	again.Facts.Codes, again.Facts.Now = maps.Clone(again.Facts.Codes), time.Now()
	second, err := tasks.EncodeEvent(again.Event())
	if err != nil || string(first) != string(second) {
		t.Errorf("a later try: %s, %v; want %s", second, err, first)
	}
	another := completion()
	another.BatchRef.Completion = 3
	third, err := tasks.EncodeEvent(another.Event())
	if err != nil || tasks.EventID(third) == tasks.EventID(first) {
		t.Errorf("another completion has the same ID: %s, %v", third, err)
	}
}

func TestAHeldJobKeepsItsBatchOpen(t *testing.T) {
	b := tasks.Batch{Jobs: map[tasks.State]int64{}}
	for i, s := range tasks.States() {
		b.Jobs[s] = 1 << i
	}
	if want := int64(1 + 2 + 4 + 8); b.Open() != want {
		t.Errorf("Open: %b, want %b", b.Open(), want)
	}
}
