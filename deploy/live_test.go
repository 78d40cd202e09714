package deploy_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/deploy/deploytest"
	"github.com/camsq/camsq/metrics"
	"github.com/camsq/camsq/tasks"
)

const (
	dashboardFile = "grafana/dashboards/camsq.json"
	alertsFile    = "prometheus/alerts.yml"
)

func TestEveryPanelShowsANumberAndEveryAlertRuns(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Config{Accounts: []string{"eu", "us"}, Version: "1.0.0", Backlog: busy{}})
	server := httptest.NewServer(metrics.Handler(reg, nil))
	t.Cleanup(server.Close)

	checkDashboard(t, strings.TrimPrefix(server.URL, "http://"), func() { work(m) })
}

// checkDashboard has a Prometheus scrape the target, has the target do something
// of everything, and runs every query of the dashboard and of the alerts.
func checkDashboard(t *testing.T, target string, work func()) {
	t.Helper()
	promURL := deploytest.StartPrometheus(t, target)
	work()
	deploytest.CheckDashboard(t, promURL, dashboardFile)
	deploytest.CheckRules(t, promURL, alertsFile)
}

// work is an import as it goes: most jobs are created, some calls are throttled,
// refused or lost, one receiver is slow.
func work(m *metrics.Metrics) {
	for _, account := range []string{"eu", "us"} {
		m.LimiterWait(account, "CreateInstance", 150*time.Millisecond)
		m.LimiterWait(account, "ListInstance", 20*time.Millisecond)
		for range 20 {
			m.Attempt(tasks.Attempt{Account: account, Outcome: tasks.OutcomeSucceeded, Code: "OK", Took: 400 * time.Millisecond})
			m.Finish(tasks.Finish{Account: account, State: tasks.StateCreated, Code: "OK", Age: 9 * time.Second})
			m.Delivery(tasks.Delivery{Result: tasks.DeliveryDelivered, Reason: tasks.ReasonOK, Took: 80 * time.Millisecond})
		}
		m.Attempt(tasks.Attempt{Account: account, Outcome: tasks.OutcomeThrottled, Code: "Throttling.User", Took: 30 * time.Millisecond})
		m.Attempt(tasks.Attempt{Account: account, Outcome: tasks.OutcomeRejected, Code: "MissingParameter", Took: 50 * time.Millisecond})
		m.Finish(tasks.Finish{Account: account, State: tasks.StateFailed, Code: "MissingParameter", Age: 5 * time.Second})
		m.Attempt(tasks.Attempt{Account: account, Outcome: tasks.OutcomeAmbiguous, Took: 15 * time.Second})
		m.APICall(tasks.APICall{Account: account, Action: "ListInstance", Outcome: tasks.OutcomeSucceeded, Code: "OK", Took: 90 * time.Millisecond})
		m.APICall(tasks.APICall{Account: account, Action: "ListInstance", Outcome: tasks.OutcomeUnsent, Code: tasks.CodeUnsent, Took: time.Millisecond})
		m.Lookup(account, "absent")
		m.Lookup(account, "several")
		m.Finish(tasks.Finish{Account: account, State: tasks.StateHeld, Age: 200 * time.Second})
	}
	m.Delivery(tasks.Delivery{Result: tasks.DeliveryRetry, Reason: tasks.ReasonTimeout, Took: 10 * time.Second})
	m.Swept("task_lost", 1)
}

// busy is a backlog in the middle of an import.
type busy struct{}

func (busy) Backlog(context.Context) ([]metrics.LaneBacklog, metrics.CallbackBacklog, error) {
	return []metrics.LaneBacklog{{
		Account: "eu",
		Jobs: map[tasks.State]int64{
			tasks.StateQueued: 480, tasks.StateCalling: 12, tasks.StateUncertain: 2, tasks.StateHeld: 1, tasks.StateCreated: 20,
		},
		Oldest: map[tasks.State]time.Duration{
			tasks.StateQueued: 90 * time.Second, tasks.StateUncertain: time.Minute, tasks.StateHeld: time.Hour,
		},
	}}, metrics.CallbackBacklog{Owed: 3, Dead: 1, OldestOwed: 40 * time.Second}, nil
}
