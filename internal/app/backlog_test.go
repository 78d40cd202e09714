package app

import (
	"testing"
	"time"

	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// More workers than the quota can use help nobody, however deep the backlog is.
func TestTheWorkersThatAreWantedFollowTheQuotaAndNotTheBacklog(t *testing.T) {
	for _, tt := range []struct {
		name        string
		facts       func(*inspect.LaneState)
		queued      int64
		turn        time.Duration
		concurrency int
		want        int
	}{
		{name: "nothing to do", turn: time.Second, concurrency: 32, want: 0},
		{name: "a night's import at five a second", queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
		{name: "a fast account with slow calls", facts: func(f *inspect.LaneState) { f.Quota.Rate = 100 }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 13},
		{name: "few jobs of a fast account", facts: func(f *inspect.LaneState) { f.Quota.Rate = 100 }, queued: 40, turn: 4 * time.Second, concurrency: 32, want: 2},
		{name: "paused", facts: func(f *inspect.LaneState) { f.Quota.Rate, f.Pause = 100, &tasks.Pause{} }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
		{name: "refused", facts: func(f *inspect.LaneState) { f.Quota.Rate, f.Trip = 100, &tasks.Trip{} }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
	} {
		f := inspect.LaneState{}
		f.Quota.Rate = 5
		if tt.facts != nil {
			tt.facts(&f)
		}
		if got := f.DesiredWorkers(tt.queued, tt.turn, tt.concurrency); got != tt.want {
			t.Errorf("%s: %d workers, want %d", tt.name, got, tt.want)
		}
	}
	var turns turnTimes
	for range 100 {
		turns.record(tasks.Attempt{Account: "eu", Took: 2 * time.Second})
	}
	if known, unknown := turns.of("eu"), turns.of("us"); known != 4500*time.Millisecond || unknown != 2500*time.Millisecond {
		t.Errorf("a turn takes %v, and %v in an account without calls", known, unknown)
	}
}
