package metrics_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/metrics"
	"github.com/camsq/camsq/tasks"
)

// page returns the body of /metrics in the text format.
func page(t *testing.T, reg prometheus.Gatherer) string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.Handler(reg, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics answered %d:\n%s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series returns the page's samples by name and labels.
func series(page string) map[string]string {
	samples := map[string]string{}
	for line := range strings.Lines(page) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			samples[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return samples
}

func TestEverySeriesStandsAtZeroFromTheStart(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Config{
		Accounts: []string{"default"},
		Version:  "1.2.3",
		Backlog:  backlog{},
	})
	got := strings.ReplaceAll(page(t, reg), runtime.Version(), "GOVERSION")

	golden := filepath.Join("testdata", "metrics.txt")
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("reading the golden file: %v (write it with UPDATE=1)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("/metrics differs from %s (-want +got; rewrite it with UPDATE=1):\n%s", golden, diff)
	}
	for name, value := range series(got) {
		if value != "0" && !strings.HasPrefix(name, "camsq_build_info") && name != "camsq_redis_up" {
			t.Errorf("%s is %s before anything happened", name, value)
		}
	}
}

func TestAnEventChangesOnlyItsOwnSeries(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, tc := range map[string]struct {
		emit func(*metrics.Metrics)
		want map[string]string // changed samples, buckets left out
	}{
		"call that succeeded": {
			func(m *metrics.Metrics) {
				m.Attempt(tasks.Attempt{Account: "eu", Outcome: tasks.OutcomeSucceeded, Code: "OK", Took: 2 * second})
			},
			map[string]string{
				`camsq_calls_total{account="eu",code="OK",outcome="succeeded"}`: "1",
				`camsq_call_duration_seconds_count{account="eu"}`:               "1",
				`camsq_call_duration_seconds_sum{account="eu"}`:                 "2",
			},
		},
		"call without an answer": {
			func(m *metrics.Metrics) { m.Attempt(tasks.Attempt{Account: "eu", Took: 15 * second}) },
			map[string]string{
				`camsq_calls_total{account="eu",code="none",outcome="ambiguous"}`: "1",
				`camsq_call_duration_seconds_count{account="eu"}`:                 "1",
				`camsq_call_duration_seconds_sum{account="eu"}`:                   "15",
			},
		},
		"call that never left has no duration": {
			func(m *metrics.Metrics) {
				m.Attempt(tasks.Attempt{Account: "eu", Outcome: tasks.OutcomeUnsent, Code: tasks.CodeUnsent, Took: second})
			},
			map[string]string{`camsq_calls_total{account="eu",code="camsq.Unsent",outcome="unsent"}`: "1"},
		},
		"request to an API that cannot be reached": {
			func(m *metrics.Metrics) {
				m.APICall(tasks.APICall{Account: "eu", Action: "ListInstance", Outcome: tasks.OutcomeUnsent, Code: tasks.CodeUnsent, Took: second})
			},
			map[string]string{`camsq_api_requests_total{account="eu",action="ListInstance",code="camsq.Unsent",outcome="unsent"}`: "1"},
		},
		"request that was answered with a page": {
			func(m *metrics.Metrics) {
				m.APICall(tasks.APICall{Account: "eu", Action: "CreateInstance", Status: 404, Code: "HTTP.404", Took: second})
			},
			map[string]string{
				`camsq_api_requests_total{account="eu",action="CreateInstance",code="HTTP.404",outcome="ambiguous"}`: "1",
				`camsq_api_request_duration_seconds_count{action="CreateInstance"}`:                                  "1",
				`camsq_api_request_duration_seconds_sum{action="CreateInstance"}`:                                    "1",
			},
		},
		"request that the vendor documents a refusal of": {
			func(m *metrics.Metrics) {
				m.APICall(tasks.APICall{Account: "eu", Action: "ListInstance", Outcome: tasks.OutcomeBlocked, Status: 400, Code: "Product.Unsubscript", Took: second})
			},
			map[string]string{
				`camsq_api_requests_total{account="eu",action="ListInstance",code="Product.Unsubscript",outcome="blocked"}`: "1",
				`camsq_api_request_duration_seconds_count{action="ListInstance"}`:                                           "1",
				`camsq_api_request_duration_seconds_sum{action="ListInstance"}`:                                             "1",
			},
		},
		"request outside the lists": {
			func(m *metrics.Metrics) {
				m.APICall(tasks.APICall{Account: "mallory", Action: "DropDatabase", Outcome: tasks.OutcomeBlocked, Code: "HTTP.799", Took: second})
			},
			map[string]string{
				`camsq_api_requests_total{account="other",action="other",code="other",outcome="blocked"}`: "1",
				`camsq_api_request_duration_seconds_count{action="other"}`:                                "1",
				`camsq_api_request_duration_seconds_sum{action="other"}`:                                  "1",
			},
		},
		"labels outside the lists": {
			func(m *metrics.Metrics) {
				m.Attempt(tasks.Attempt{Account: "mallory", Outcome: 200, Code: "No.Such\nCode", Took: second})
			},
			map[string]string{
				`camsq_calls_total{account="other",code="other",outcome="ambiguous"}`: "1",
				`camsq_call_duration_seconds_count{account="other"}`:                  "1",
				`camsq_call_duration_seconds_sum{account="other"}`:                    "1",
			},
		},
		"job that failed": {
			func(m *metrics.Metrics) {
				m.Finish(tasks.Finish{Account: "eu", State: tasks.StateFailed, Code: "MissingParameter", Age: time.Minute})
			},
			map[string]string{
				`camsq_jobs_finished_total{account="eu",code="MissingParameter",state="failed"}`: "1",
				`camsq_job_duration_seconds_count{account="eu",state="failed"}`:                  "1",
				`camsq_job_duration_seconds_sum{account="eu",state="failed"}`:                    "60",
			},
		},
		"job in no known state": {
			func(m *metrics.Metrics) { m.Finish(tasks.Finish{Account: "eu", State: "lost", Age: second}) },
			map[string]string{
				`camsq_jobs_finished_total{account="eu",code="none",state="other"}`: "1",
				`camsq_job_duration_seconds_count{account="eu",state="other"}`:      "1",
				`camsq_job_duration_seconds_sum{account="eu",state="other"}`:        "1",
			},
		},
		"delivery that was accepted": {
			func(m *metrics.Metrics) {
				m.Delivery(tasks.Delivery{Result: tasks.DeliveryDelivered, Reason: tasks.ReasonOK, Took: second})
			},
			map[string]string{
				`camsq_callback_tries_total{reason="ok",result="delivered"}`: "1",
				`camsq_callback_duration_seconds_count`:                      "1",
				`camsq_callback_duration_seconds_sum`:                        "1",
			},
		},
		"delivery that was not sent has no duration": {
			func(m *metrics.Metrics) { m.Delivery(tasks.Delivery{Reason: tasks.ReasonGated}) },
			map[string]string{`camsq_callback_tries_total{reason="gated",result="retry"}`: "1"},
		},
		"delivery outside the lists": {
			func(m *metrics.Metrics) { m.Delivery(tasks.Delivery{Result: "eaten", Reason: "dog", Took: second}) },
			map[string]string{
				`camsq_callback_tries_total{reason="other",result="other"}`: "1",
				`camsq_callback_duration_seconds_count`:                     "1",
				`camsq_callback_duration_seconds_sum`:                       "1",
			},
		},
		"wait for the quota": {
			func(m *metrics.Metrics) { m.LimiterWait("eu", "CreateInstance", second) },
			map[string]string{
				`camsq_limiter_wait_seconds_count{account="eu",action="CreateInstance"}`: "1",
				`camsq_limiter_wait_seconds_sum{account="eu",action="CreateInstance"}`:   "1",
			},
		},
		"wait for an unknown action": {
			func(m *metrics.Metrics) { m.LimiterWait("eu", "DropDatabase", second) },
			map[string]string{
				`camsq_limiter_wait_seconds_count{account="eu",action="other"}`: "1",
				`camsq_limiter_wait_seconds_sum{account="eu",action="other"}`:   "1",
			},
		},
		"look that found": {
			func(m *metrics.Metrics) { m.Lookup("eu", "found") },
			map[string]string{`camsq_lookups_total{account="eu",result="found"}`: "1"},
		},
		"look with an unknown result": {
			func(m *metrics.Metrics) { m.Lookup("eu", "perhaps") },
			map[string]string{`camsq_lookups_total{account="eu",result="other"}`: "1"},
		},
		"sweep": {
			func(m *metrics.Metrics) { m.Swept("archived", 3); m.Swept("no_lease", 0) },
			map[string]string{`camsq_swept_total{kind="archived"}`: "3"},
		},
		"sweep of an unknown kind": {
			func(m *metrics.Metrics) { m.Swept("magic", 1) },
			map[string]string{`camsq_swept_total{kind="other"}`: "1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			m := metrics.New(reg, metrics.Config{Accounts: []string{"eu", "us"}})
			before := series(page(t, reg))
			tc.emit(m)
			changed := map[string]string{}
			for sample, value := range series(page(t, reg)) {
				// A bucket that a new series brings with it, at zero, is no change either.
				if value != before[sample] && !strings.Contains(sample, "_bucket{") {
					changed[sample] = value
				}
			}
			if diff := cmp.Diff(tc.want, changed); diff != "" {
				t.Errorf("changed samples (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryListedEventHasItsSeriesAlready(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Config{Accounts: []string{"eu"}})
	before := len(series(page(t, reg)))
	for _, outcome := range tasks.Outcomes() {
		m.Attempt(tasks.Attempt{Account: "eu", Outcome: outcome})
		m.Attempt(tasks.Attempt{Account: "eu", Outcome: outcome, Code: "Something.New"})
	}
	for _, action := range metrics.Actions() {
		for _, outcome := range tasks.Outcomes() {
			m.APICall(tasks.APICall{Account: "eu", Action: action, Outcome: outcome, Code: "Something.New"})
		}
		for _, code := range []string{tasks.CodeNoAnswer, "HTTP.500", "HTTP.502", "HTTP.503", "HTTP.504"} {
			m.APICall(tasks.APICall{Account: "eu", Action: action, Outcome: tasks.OutcomeAmbiguous, Code: code})
		}
		m.APICall(tasks.APICall{Account: "eu", Action: action, Outcome: tasks.OutcomeUnsent, Code: tasks.CodeUnsent})
	}
	for _, step := range tasks.Edges() {
		if step.To.Final() || step.To == tasks.StateHeld {
			m.Finish(tasks.Finish{Account: "eu", State: step.To})
			m.Finish(tasks.Finish{Account: "eu", State: step.To, Code: "Something.New"})
		}
	}
	for _, code := range tasks.Codes() {
		m.Finish(tasks.Finish{Account: "eu", State: tasks.StateFailed, Code: code})
	}
	for _, result := range metrics.LookupResults() {
		m.Lookup("eu", result)
	}
	for _, action := range metrics.Actions() {
		m.LimiterWait("eu", action, 0)
	}
	for _, kind := range metrics.SweptKinds() {
		m.Swept(kind, 1)
	}
	m.Delivery(tasks.Delivery{Result: tasks.DeliveryDelivered, Reason: tasks.ReasonOK})
	m.Delivery(tasks.Delivery{Result: tasks.DeliveryGone, Reason: tasks.ReasonGone})
	m.Delivery(tasks.Delivery{Result: tasks.DeliveryRefused, Reason: tasks.ReasonRefused})
	for _, reason := range tasks.DeliveryReasons() {
		if reason != tasks.ReasonOK && reason != tasks.ReasonGone && reason != tasks.ReasonRefused {
			m.Delivery(tasks.Delivery{Result: tasks.DeliveryRetry, Reason: reason})
		}
	}
	after := series(page(t, reg))
	if len(after) != before {
		t.Errorf("the events made %d new series; each must stand at zero from the start", len(after)-before)
	}
	for _, code := range tasks.Codes() {
		sample := fmt.Sprintf(`camsq_jobs_finished_total{account="eu",code=%q,state="failed"}`, code)
		if after[sample] != "1" {
			t.Errorf("%s is %q, want 1: a code of our own must not be counted as another", sample, after[sample])
		}
	}
}

func TestPromtoolFindsNothingToCorrect(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is not on the PATH; Debian has it in the package prometheus")
		}
		t.Skip("promtool is not on the PATH")
	}
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Config{Accounts: []string{"default"}, Backlog: backlog{}})
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = bytes.NewBufferString(page(t, reg))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
