// Package deploytest proves dashboards and alert rules against a Prometheus
// that really scrapes the program: every query is run, none is only parsed.
//
// It promises that a panel which [CheckDashboard] lets pass would show a number.
// It refuses to judge how the panel looks: there is no Grafana here. It is for
// tests alone.
package deploytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout  = 30 * time.Second
	answerTimeout = 30 * time.Second
	pollInterval  = 100 * time.Millisecond
)

// LookTool returns the path of a program. Without it the test is skipped, or
// fails when the environment has CI=true.
func LookTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("deploytest: %s is not on the PATH, and CI=true forbids to skip", name)
		}
		t.Skipf("deploytest: %s is not on the PATH", name)
	}
	return path
}

// StartPrometheus starts a Prometheus that scrapes /metrics of the targets
// ("host:port") each second, as job "camsq", and returns its URL once it has
// scraped every one for the first time: what they count from then on is an
// increase that rate() sees. It is stopped when the test ends.
func StartPrometheus(t testing.TB, targets ...string) string {
	t.Helper()
	bin := LookTool(t, "prometheus")
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"+
		"scrape_configs: [{job_name: camsq, static_configs: [{targets: [%s]}]}]\n", strings.Join(targets, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), bin, //nolint:gosec // The program is Prometheus, found on the PATH.
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("deploytest: starting prometheus: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // Its log says more than its exit code.
		close(exited)
	}()
	t.Cleanup(func() { <-exited }) // The test's context, which ends it, is done by now.

	promURL := "http://" + addr
	err := poll(t.Context(), startTimeout, func(ctx context.Context) error {
		select {
		case <-exited:
			return fmt.Errorf("%w: prometheus has exited:\n%s", errHopeless, log.String())
		default:
		}
		values, err := query(ctx, promURL, `up{job="camsq"} == 1`)
		if err == nil && len(values) < len(targets) {
			err = fmt.Errorf("of %v only %d have been scraped yet", targets, len(values))
		}
		return err
	})
	if err != nil {
		t.Fatalf("deploytest: waiting for prometheus: %v", err)
	}
	return promURL
}

// errHopeless ends a poll before its time.
var errHopeless = errors.New("no use to wait")

// poll calls f until it returns nil, or returns its last error.
func poll(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil || errors.Is(err, errHopeless) {
			return err
		}
		if last == nil || ctx.Err() == nil { // the deadline itself says nothing
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// query returns the values of an instant query.
func query(ctx context.Context, promURL, expr string) ([]float64, error) {
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			ResultType string `json:"resultType"`
			Result     []struct {
				Value [2]any `json:"value"` // time, value as text
			} `json:"result"`
		} `json:"data"`
	}
	if err := get(ctx, promURL+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), &answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%w: prometheus refuses the query: %s", errHopeless, answer.Error)
	}
	values := make([]float64, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: the query's answer is a %s, want a vector", errHopeless, answer.Data.ResultType)
		}
		values = append(values, v)
	}
	return values, nil
}

func get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return fmt.Errorf("prometheus answers %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // It only finds the port.
	return l.Addr().String()
}
