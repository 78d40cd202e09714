package metrics_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/metrics"
)

type health func(context.Context) error

func (h health) Ready(ctx context.Context) error { return h(ctx) }

func TestHealthPages(t *testing.T) {
	t.Parallel()
	ready := health(func(context.Context) error { return nil })
	down := health(func(context.Context) error { return errors.Join(errors.New("redis is down"), errors.New("draining")) })
	for name, tc := range map[string]struct {
		health metrics.Health
		method string
		path   string
		status int
		body   string
	}{
		"alive":                      {ready, http.MethodGet, "/healthz", 200, "alive\n"},
		"alive although not ready":   {down, http.MethodGet, "/healthz", 200, "alive\n"},
		"ready":                      {ready, http.MethodGet, "/readyz", 200, "ready\n"},
		"ready with nobody to ask":   {nil, http.MethodGet, "/readyz", 200, "ready\n"},
		"not ready, in one line":     {down, http.MethodGet, "/readyz", 503, "not ready: redis is down; draining\n"},
		"nothing is changed by post": {ready, http.MethodPost, "/readyz", 405, "Method Not Allowed\n"},
		"no other page":              {ready, http.MethodGet, "/debug/pprof/", 404, "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			metrics.Handler(prometheus.NewRegistry(), tc.health).ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != tc.status || w.Body.String() != tc.body {
				t.Errorf("%s %s: got %d %q, want %d %q", tc.method, tc.path, w.Code, w.Body, tc.status, tc.body)
			}
		})
	}
}

func TestReadyIsAskedWithADeadline(t *testing.T) {
	t.Parallel()
	asked := false
	h := health(func(ctx context.Context) error {
		_, asked = ctx.Deadline()
		return nil
	})
	metrics.Handler(prometheus.NewRegistry(), h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if !asked {
		t.Error("Ready was not asked, or without a deadline: a probe would hang with it")
	}
}

func TestOpenMetricsIsServedToWhomAsksForIt(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Config{})
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	w := httptest.NewRecorder()
	metrics.Handler(reg, nil).ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/openmetrics-text") {
		t.Errorf("the content type is %q", got)
	}
	if !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Error("the page does not end in # EOF")
	}
}
