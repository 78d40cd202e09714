package metrics

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health reports whether the process can do its work now. Every client that reaches the
// page reads the error's text, so it must be one line that names what is missing
// and must hold no secret.
type Health interface {
	Ready(ctx context.Context) error
}

// readyTimeout is under the timeout that the probes of deploy/ use.
const readyTimeout = 2 * time.Second

// Handler serves three pages: /metrics, in the OpenMetrics format to whom asks
// for it; /healthz, 200 as long as the process answers at all; and /readyz, 200
// or else 503 with the line that says why. A nil health is always ready.
func Handler(reg prometheus.Gatherer, health Health) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeLine(w, http.StatusOK, "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if health != nil {
			if err := health.Ready(ctx); err != nil {
				writeLine(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
				return
			}
		}
		writeLine(w, http.StatusOK, "ready")
	})
	return mux
}

func writeLine(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, strings.ReplaceAll(line, "\n", "; ")) // A reader that hung up need not be told.
}
