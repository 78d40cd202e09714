package cli

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/tasks"
)

// serveOn answers on an address until the test ends.
func serveOn(t *testing.T, addr string, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: h}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// scrape is what a worker tells Prometheus.
func scrape(t *testing.T, addr string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// With the endpoint away a worker's jobs wait, and status, batch, log and metrics say
// why; when it is back, all are created.
func TestAnEndpointThatIsAwayIsSeenAndOutlasted(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, camstest.Config{})
	api, metricsAt := freeAddr(t), freeAddr(t)
	w.env = append(w.env, "CAMSQ_ENDPOINT=http://"+api, "CAMSQ_RETRY_MIN=100ms", "CAMSQ_RETRY_MAX=1s")
	worker := w.worker(t, "CAMSQ_LISTEN="+metricsAt)
	eventually(t, "the worker is ready", func() bool { return get(metricsAt, "/readyz") == http.StatusOK })

	file := filepath.Join(t.TempDir(), "f.csv")
	if err := os.WriteFile(file, []byte(many(20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := camsq(t, w.env, "enqueue", file); p.exit(time.Minute) != exit.CodeOK {
		t.Fatal(p.output())
	}
	status := func(args ...string) string {
		p := camsq(t, w.env, append([]string{"status"}, args...)...)
		if code := p.exit(time.Minute); code != exit.CodeOK {
			t.Fatalf("status: exit code %d: %s", code, p.output())
		}
		return p.output()
	}
	away := "default: cannot reach the API (" + api + "): connection refused, for "
	eventually(t, "status says that the API is away", func() bool { return strings.Contains(status(), away) })
	if out := status("f"); !strings.Contains(out, away) || !strings.Contains(out, "20 jobs to go, time unknown: the API is away") {
		t.Errorf("status of the batch:\n%s", out)
	}
	if out := status("j7"); !strings.Contains(out, "It waits because account default cannot reach the API ("+api+"): connection refused") {
		t.Errorf("status of a job:\n%s", out)
	}
	page := scrape(t, metricsAt)
	for _, want := range []string{
		`camsq_lane_tripped{account="default",code="camsq.Unsent",kind="away"} 1`,
		`camsq_lane_tripped{account="default",code="none",kind="refused"} 0`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(page, `camsq_api_requests_total{account="default",action="ListInstance",code="camsq.Unsent",outcome="unsent"} 0`) {
		t.Error("the requests that could not be sent are not counted")
	}

	serveOn(t, api, w.cloud)
	var jobs []string
	for i := range 20 {
		jobs = append(jobs, fmt.Sprintf("j%d", i))
	}
	eventually(t, "every job is created", func() bool {
		for _, s := range w.outcomes(t, jobs) {
			if s.State != tasks.StateCreated {
				return false
			}
		}
		return true
	})
	if n := len(w.cloud.Instances()); n != 20 {
		t.Errorf("there are %d instances, want 20", n)
	}
	if out := status(); strings.Contains(out, "the API") {
		t.Errorf("status says of an API that is back:\n%s", out)
	}
	worker.terminate()
	if code := worker.exit(time.Minute); code != exit.CodeOK {
		t.Errorf("the worker's exit code is %d", code)
	}
	log := worker.output()
	if n := strings.Count(log, "level=WARN msg=\"the API is away"); n != 1 {
		t.Errorf("the log warns %d times that the API is away, want once:\n%s", n, log)
	}
	if n := strings.Count(log, "the API is back"); n != 1 {
		t.Errorf("the log says %d times that the API is back, want once:\n%s", n, log)
	}
}

// standIn is what stands where the API should be, until that is back.
type standIn struct {
	back  atomic.Bool
	cloud http.Handler
	away  http.HandlerFunc
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.back.Load() {
		s.cloud.ServeHTTP(w, r)
		return
	}
	s.away(w, r)
}

// Each way in which an API can be away is told as what it is, and holds up the accounts
// of that endpoint alone; no job fails of it.
func TestEachWayToBeAwayHoldsUpItsOwnAccountAlone(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, camstest.Config{})
	standIns := map[string]*standIn{
		"silent": {away: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"page": {away: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<html><body>nothing here</body></html>")
		}},
		"broken": {away: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"Code":"ServiceUnavailable","Message":"The service is being repaired.","RequestId":"r"}`)
		}},
	}
	at := map[string]string{"well": strings.TrimPrefix(w.cloud.URL(), "http://")}
	for name, s := range standIns {
		s.cloud = w.cloud
		at[name] = serveOn(t, "127.0.0.1:0", s)
	}
	dir := t.TempDir()
	settings, file := filepath.Join(dir, "camsq.yaml"), filepath.Join(dir, "f.csv")
	accounts, rows := "accounts:\n", "ChannelType,InstanceName,job_id,account\n"
	for name, addr := range at {
		accounts += fmt.Sprintf("  - name: %s\n    endpoint: http://%s\n", name, addr)
		for i := range 4 {
			rows += fmt.Sprintf("VIBER,%s %d,%s-%d,%s\n", name, i, name, i, name)
		}
	}
	for path, content := range map[string]string{settings: accounts, file: rows} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.env = slices.DeleteFunc(w.env, func(s string) bool { return strings.HasPrefix(s, "CAMSQ_ENDPOINT=") })
	w.env = append(w.env, "CAMSQ_CONFIG="+settings, "CAMSQ_RETRY_MIN=100ms", "CAMSQ_RETRY_MAX=1s", "CAMSQ_CALL_TIMEOUT=2s")
	w.worker(t)
	if p := camsq(t, w.env, "enqueue", file); p.exit(time.Minute) != exit.CodeOK {
		t.Fatal(p.output())
	}

	says := func(want ...string) func() bool {
		return func() bool {
			p := camsq(t, w.env, "status")
			p.exit(time.Minute)
			return !slices.ContainsFunc(want, func(s string) bool { return !strings.Contains(p.output(), s) })
		}
	}
	eventually(t, "status says how each API is away", says(
		"silent: gets no answer from the API ("+at["silent"]+"): timeout, for ",
		"page: gets answers that are not the API's ("+at["page"]+"): HTTP.404: unreadable answer: the body is a web page (HTML), not a JSON object, for ",
		"broken: gets only faults from the API ("+at["broken"]+"): ServiceUnavailable: The service is being repaired., for ",
	))
	created := func(account string) func() bool {
		return func() bool {
			n := 0
			for i := range 4 {
				n += w.cloud.Created(fmt.Sprintf("%s %d", account, i))
			}
			return n == 4
		}
	}
	eventually(t, "the account whose API is well is served", created("well"))
	for name, s := range standIns {
		s.back.Store(true)
		eventually(t, "the jobs of "+name+" are created", created(name))
	}
	eventually(t, "every outcome is told", func() bool { n, _, _ := w.events.counts(); return n == 5*len(at) }) // four jobs and a batch of each
	for job, types := range w.events.eventTypes(t) {
		if job != "" && (len(types) != 1 || !strings.HasPrefix(types[0], "instance.created")) {
			t.Errorf("job %s was told as %q", job, types)
		}
	}
}
