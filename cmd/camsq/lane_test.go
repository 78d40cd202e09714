package main

import (
	"testing"
	"time"

	"github.com/camsq/camsq/tasks"
)

func (d *desk) lane(account string) tasks.Lane {
	d.t.Helper()
	lanes, err := d.ledger.Lanes(d.t.Context(), []string{account})
	if err != nil {
		d.t.Fatal(err)
	}
	return lanes[0]
}

func TestARateIsReadAndTold(t *testing.T) {
	for text, want := range map[string]struct {
		rate float64
		told string
	}{
		"8": {8, "8 a second"}, "8/s": {8, "8 a second"}, "2.5/s": {2.5, "2.5 a second"},
		"90/m": {1.5, "1.5 a second"}, "30/m": {0.5, "30 a minute"}, "18/h": {0.005, "18 an hour"}, "off": {0, "0 an hour"},
	} {
		got, err := parseLimit(text)
		if err != nil || got != want.rate || perSecond(got) != want.told {
			t.Errorf("parseLimit(%q) = %v, %v, told as %q", text, got, err, perSecond(got))
		}
	}
}

// More workers than the quota can use help nobody, however deep the backlog is.
func TestTheWorkersThatAreWantedFollowTheQuotaAndNotTheBacklog(t *testing.T) {
	for _, tt := range []struct {
		name        string
		facts       func(*laneFacts)
		queued      int64
		turn        time.Duration
		concurrency int
		want        int
	}{
		{name: "nothing to do", turn: time.Second, concurrency: 32, want: 0},
		{name: "a night's import at five a second", queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
		{name: "a fast account with slow calls", facts: func(f *laneFacts) { f.Quota.Rate = 100 }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 13},
		{name: "few jobs of a fast account", facts: func(f *laneFacts) { f.Quota.Rate = 100 }, queued: 40, turn: 4 * time.Second, concurrency: 32, want: 2},
		{name: "paused", facts: func(f *laneFacts) { f.Quota.Rate, f.Pause = 100, &tasks.Pause{} }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
		{name: "refused", facts: func(f *laneFacts) { f.Quota.Rate, f.Trip = 100, &tasks.Trip{} }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
	} {
		f := laneFacts{}
		f.Quota.Rate = 5
		if tt.facts != nil {
			tt.facts(&f)
		}
		if got := f.desiredWorkers(tt.queued, tt.turn, tt.concurrency); got != tt.want {
			t.Errorf("%s: %d workers, want %d", tt.name, got, tt.want)
		}
	}
	var turns turnTimes
	for range 100 {
		turns.note(tasks.Attempt{Account: "eu", Took: 2 * time.Second})
	}
	if known, unknown := turns.of("eu"), turns.of("us"); known != 4500*time.Millisecond || unknown != 2500*time.Millisecond {
		t.Errorf("a turn takes %v, and %v in an account without calls", known, unknown)
	}
}
