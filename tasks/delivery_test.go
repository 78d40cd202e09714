package tasks_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/camsq/camsq/tasks"
)

func TestADeliveryThatNobodyFilledInIsRetried(t *testing.T) {
	var d tasks.Delivery
	if d.Result != tasks.DeliveryRetry {
		t.Errorf("zero Result = %q, want DeliveryRetry", d.Result)
	}
	if got := d.Result.String(); got != "retry" {
		t.Errorf("zero Result prints %q, want retry", got)
	}
}

func TestResultsAndReasonsAreDistinctLabels(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range tasks.DeliveryResults() {
		if seen[r.String()] || r.String() == "" {
			t.Errorf("result %q is listed twice or empty", r)
		}
		seen[r.String()] = true
	}
	seen = map[string]bool{}
	for _, r := range tasks.DeliveryReasons() {
		if seen[r] || r == "" {
			t.Errorf("reason %q is listed twice or empty", r)
		}
		seen[r] = true
	}
}

func TestOnlyWhatTheReceiverHadAPartInCostsATry(t *testing.T) {
	free := map[string]bool{tasks.ReasonGated: true, tasks.ReasonInterrupted: true}
	for _, reason := range tasks.DeliveryReasons() {
		if got := (tasks.Delivery{Reason: reason}).CostsTry(); got == free[reason] {
			t.Errorf("CostsTry of %s = %v", reason, got)
		}
	}
}

func TestADeliveryLogsAsAGroup(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("webhook", "delivery", tasks.Delivery{
		Status: 429, Reason: tasks.ReasonRateLimited, RetryAfter: time.Minute, Detail: "status 429", Took: time.Second,
	})
	want := "level=INFO msg=webhook delivery.result=retry delivery.reason=rate_limited delivery.status=429 " +
		"delivery.took=1s delivery.retry_after=1m0s delivery.detail=\"status 429\"\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}
