package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/metrics"
	"github.com/camsq/camsq/tasks"
)

// backlog answers what it holds.
type backlog struct {
	lanes     []metrics.LaneBacklog
	callbacks metrics.CallbackBacklog
	err       error
}

func (b backlog) Backlog(context.Context) ([]metrics.LaneBacklog, metrics.CallbackBacklog, error) {
	return b.lanes, b.callbacks, b.err
}

// gauges returns the samples that are asked of a backlog and are not zero.
func gauges(t *testing.T, b metrics.Backlog) map[string]string {
	t.Helper()
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Config{Accounts: []string{"eu", "us"}, Backlog: b})
	found := map[string]string{}
	for sample, value := range series(page(t, reg)) {
		for _, prefix := range []string{"camsq_jobs{", "camsq_job_oldest", "camsq_callbacks_owed", "camsq_callbacks_dead", "camsq_callback_oldest", "camsq_lane_", "camsq_desired_workers"} {
			if strings.HasPrefix(sample, prefix) && value != "0" {
				found[sample] = value
			}
		}
		if sample == "camsq_redis_up" {
			found[sample] = value
		}
	}
	return found
}

func TestTheBacklogIsAskedAtEachScrape(t *testing.T) {
	t.Parallel()
	got := gauges(t, backlog{
		lanes: []metrics.LaneBacklog{{
			Account: "eu",
			Jobs:    map[tasks.State]int64{tasks.StateQueued: 7, tasks.StateHeld: 1, tasks.StateCreated: 99},
			Oldest: map[tasks.State]time.Duration{
				tasks.StateQueued: time.Minute, tasks.StateHeld: time.Hour, tasks.StateCreated: 24 * time.Hour,
			},
			Rate: 3.5, Ceiling: 4.95, Paused: true, TrippedBy: "NoPermission", Desired: 2,
		}},
		callbacks: metrics.CallbackBacklog{Owed: 3, Dead: 2, OldestOwed: 90 * time.Second},
	})
	want := map[string]string{
		`camsq_redis_up`: "1",
		`camsq_jobs{account="eu",state="queued"}`:                             "7",
		`camsq_jobs{account="eu",state="held"}`:                               "1",
		`camsq_jobs{account="eu",state="created"}`:                            "99",
		`camsq_job_oldest_seconds{account="eu",state="queued"}`:               "60",
		`camsq_job_oldest_seconds{account="eu",state="held"}`:                 "3600",
		`camsq_lane_rate{account="eu"}`:                                       "3.5",
		`camsq_lane_rate_ceiling{account="eu"}`:                               "4.95",
		`camsq_lane_paused{account="eu"}`:                                     "1",
		`camsq_lane_tripped{account="eu",code="NoPermission",kind="refused"}`: "1",
		`camsq_desired_workers{account="eu"}`:                                 "2",
		`camsq_callbacks_owed`:                                                "3",
		`camsq_callbacks_dead`:                                                "2",
		`camsq_callback_oldest_seconds`:                                       "90",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gauges (-want +got):\n%s", diff)
	}
}

func TestLanesOfUnlistedAccountsAreOneSeries(t *testing.T) {
	t.Parallel()
	got := gauges(t, backlog{lanes: []metrics.LaneBacklog{
		{Account: "old", Jobs: map[tasks.State]int64{tasks.StateQueued: 2}, Oldest: map[tasks.State]time.Duration{tasks.StateQueued: time.Hour}},
		{Account: "older", Jobs: map[tasks.State]int64{tasks.StateQueued: 3}, Oldest: map[tasks.State]time.Duration{tasks.StateQueued: time.Minute}},
		{Account: "us"}, // with nil maps
	}})
	want := map[string]string{
		`camsq_redis_up`: "1",
		`camsq_jobs{account="other",state="queued"}`:               "5",
		`camsq_job_oldest_seconds{account="other",state="queued"}`: "3600",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gauges (-want +got):\n%s", diff)
	}
}

// An API that is away is told apart from one that refuses, also where lanes are joined.
func TestAnAPIThatIsAwayIsNoRefusal(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Config{Accounts: []string{"eu"}, Backlog: backlog{lanes: []metrics.LaneBacklog{
		{Account: "eu", TrippedBy: "HTTP.503", Away: true},
		{Account: "old", TrippedBy: tasks.CodeUnsent, Away: true},
		{Account: "older", TrippedBy: "NoPermission"},
	}}})
	got := map[string]string{}
	for sample, value := range series(page(t, reg)) {
		if strings.HasPrefix(sample, "camsq_lane_tripped") {
			got[sample] = value
		}
	}
	want := map[string]string{
		`camsq_lane_tripped{account="eu",code="HTTP.503",kind="away"}`:           "1",
		`camsq_lane_tripped{account="eu",code="none",kind="refused"}`:            "0",
		`camsq_lane_tripped{account="other",code="camsq.Unsent",kind="away"}`:    "1",
		`camsq_lane_tripped{account="other",code="NoPermission",kind="refused"}`: "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lanes (-want +got):\n%s", diff)
	}
}

func TestABacklogThatFailsNeverFailsTheScrape(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Config{Accounts: []string{"eu"}, Backlog: backlog{
		lanes: []metrics.LaneBacklog{{Account: "eu", Jobs: map[tasks.State]int64{tasks.StateQueued: 7}}},
		err:   errors.New("connection refused"),
	}})
	m.Swept("archived", 1)
	got := series(page(t, reg))
	if got["camsq_redis_up"] != "0" {
		t.Errorf("camsq_redis_up is %q, want 0", got["camsq_redis_up"])
	}
	if got[`camsq_swept_total{kind="archived"}`] != "1" {
		t.Error("the counters are missing beside a backlog that fails")
	}
	for sample := range got {
		if strings.HasPrefix(sample, "camsq_jobs{") || strings.HasPrefix(sample, "camsq_callbacks_owed") {
			t.Errorf("%s is told although nobody knows it", sample)
		}
	}
}

// bounded fails the test unless it is given less time than a scrape has.
type bounded struct{ t *testing.T }

func (b bounded) Backlog(ctx context.Context) ([]metrics.LaneBacklog, metrics.CallbackBacklog, error) {
	const scrape = 10 * time.Second
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) >= scrape {
		b.t.Errorf("the backlog may take until %v, want less than a scrape's %v", deadline, scrape)
	}
	return nil, metrics.CallbackBacklog{}, nil
}

func TestABacklogHasLessTimeThanAScrape(t *testing.T) {
	t.Parallel()
	gauges(t, bounded{t})
}

func TestWithoutABacklogThereAreNoGauges(t *testing.T) {
	t.Parallel()
	if got := gauges(t, nil); len(got) != 0 {
		t.Errorf("got %v, want no gauge", got)
	}
}
