package cli

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
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/deploy/deploytest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/lab/testbed"
	"github.com/camsq/camsq/internal/redistest"
)

// process is camsq, running.
type process struct {
	t   *testing.T
	cmd *exec.Cmd

	mu  sync.Mutex
	out bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// camsq starts camsq with arguments and settings, and ends it with the test.
func camsq(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(self, args...)}
	p.cmd.Env = append([]string{runAsCamsq + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("camsq %s:\n%s", strings.Join(args, " "), p.output())
		}
	})
	return p
}

// hang is after how long a test gives up: what comes at all has come by then, also on a
// slow machine.
const hang = 5 * time.Minute

// exit waits for the process and returns its exit code.
func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	timer := time.AfterFunc(max(within, hang), func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	err := p.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// eventually polls until what is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(hang)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// freeAddr returns a loopback address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// deployment is a real Redis with an append-only file, the cloud and a receiver, and
// the settings with which camsq finds them.
type deployment struct {
	redis  *redistest.Server
	cloud  *camstest.Server
	events *deliveries
	env    []string
}

func newDeployment(t *testing.T, c camstest.Config) *deployment {
	t.Helper()
	events := &deliveries{}
	bed, err := testbed.Start(testbed.Config{CAMS: c, OnEvent: events.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bed.Close)
	events.bed = bed
	w := &deployment{redis: redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"), cloud: bed.CAMS, events: events}
	w.env = []string{
		"CAMSQ_REDIS_URL=" + w.redis.URL(),
		"CAMSQ_ENDPOINT=" + w.cloud.URL(),
		"CAMSQ_DATA_KEY=" + enqueue.NewDataKey(),
		"CAMSQ_CALLBACK_URL=" + bed.CallbackURL,
		"CAMSQ_CALLBACK_SECRET=" + bed.CallbackSecret,
		"CAMSQ_CALLBACK_ALLOW_PRIVATE=true",
		"CAMSQ_RATE=50",
		"CAMSQ_RECONCILE_DELAY=200ms",
		"CAMSQ_SETTLE_WINDOW=3s",
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + camstest.KeyID,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + camstest.KeySecret,
	}
	return w
}

func (w *deployment) worker(t *testing.T, env ...string) *process {
	t.Helper()
	return camsq(t, slices.Concat([]string{"CAMSQ_LISTEN=" + freeAddr(t)}, w.env, env), "worker")
}

// deliveries keeps what the receiver accepted.
type deliveries struct {
	bed *testbed.Testbed

	mu  sync.Mutex
	all []callbacktest.Delivery
}

func (d *deliveries) add(x callbacktest.Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, x)
}

// counts returns how many different webhooks came, how many in all, and how many of
// them had no good signature or came again with another body.
func (d *deliveries) counts() (distinct, posts, bad int) {
	c := d.bed.Receiver.Counts()
	return c.Distinct, c.Received, c.Refused + c.Changed
}

// The main job, in separate processes: a file becomes instances, each told to the
// webhook, and the same file again creates nothing and tells nobody twice. The
// dashboard's and the alerts' queries answer on what the workers export.
func TestAFileBecomesInstancesOnceInSeparateProcesses(t *testing.T) {
	t.Parallel()
	deploytest.LookTool(t, "prometheus")
	w := newDeployment(t, camstest.Config{Quota: 40})
	rows := tenantNames(t)
	w.cloud.FailName(rows[3], camstest.Fault{Created: true, Reply: camstest.ReplyReset})
	w.cloud.FailName(rows[5], camstest.Fault{Reply: camstest.ReplyThrottled, RetryAfter: 500 * time.Millisecond})
	w.cloud.FailName(rows[7], camstest.Fault{Reply: camstest.ReplyForbidden})
	w.cloud.FailName(rows[9], camstest.Fault{Reply: camstest.ReplyRejected})

	var workers []*process
	var listen []string
	for range 2 {
		addr := freeAddr(t)
		workers = append(workers, w.worker(t, "CAMSQ_LISTEN="+addr))
		listen = append(listen, addr)
		eventually(t, "the worker is ready", func() bool { return get(addr, "/readyz") == http.StatusOK })
	}
	promURL := deploytest.StartPrometheus(t, listen...)

	file := filepath.Join("..", "..", "examples", "tenants.csv")
	run := camsq(t, w.env, "enqueue", "--wait", file)
	if code := run.exit(2 * time.Minute); code != exit.CodeSomeFailed {
		t.Fatalf("enqueue --wait: exit code %d, want 1: the file has bad rows\n%s", code, run.output())
	}
	for _, name := range rows {
		want := 1
		if name == rows[9] {
			want = 0
		}
		if got := w.cloud.Created(name); got != want {
			t.Errorf("%s: %d instances, want %d", name, got, want)
		}
	}
	eventually(t, "every outcome and the batch are told", func() bool { n, _, _ := w.events.counts(); return n == len(rows)+1 })
	if v := w.cloud.Violations(); len(v) > 0 {
		t.Errorf("the cloud complains: %q", v)
	}
	deploytest.CheckDashboard(t, promURL, filepath.Join("..", "..", "deploy", "grafana", "dashboards", "camsq.json"))
	deploytest.CheckRules(t, promURL, filepath.Join("..", "..", "deploy", "prometheus", "alerts.yml"))

	calls := w.cloud.Calls("CreateInstance")
	_, posts, _ := w.events.counts()
	again := camsq(t, w.env, "enqueue", "--wait", file)
	again.exit(time.Minute)
	if got := w.cloud.Calls("CreateInstance"); got != calls {
		t.Errorf("the same file again made %d calls", got-calls)
	}
	if _, got, bad := w.events.counts(); got != posts || bad > 0 {
		t.Errorf("the same file again told %d more; %d webhooks were bad", got-posts, bad)
	}

	// The queue is plain asynq, and empty.
	in := asynq.NewInspectorFromRedisClient(w.redis.Client())
	for _, queue := range []string{"provision:default", "callback"} {
		info, err := in.GetQueueInfo(queue)
		if err != nil || info.Pending+info.Active+info.Archived > 0 {
			t.Errorf("queue %s: %+v, %v", queue, info, err)
		}
	}
	for _, p := range workers {
		p.terminate()
		if code := p.exit(time.Minute); code != exit.CodeOK {
			t.Errorf("worker: exit code %d after SIGTERM", code)
		}
	}
}

// tenantNames are the distinct names of the example's good rows.
func tenantNames(t *testing.T) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "examples", "tenants.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	seen := map[string]bool{}
	for row, err := range rowfile.Read(f, rowfile.Options{File: "tenants.csv"}) {
		if err == nil && !seen[row.Job.ID] {
			seen[row.Job.ID] = true
			names = append(names, row.Job.Request.InstanceName)
		}
	}
	return names
}

func get(addr, path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A graceful stop: the call under way ends and is recorded, no new one begins,
// and the exit code is 0.
func TestSIGTERMLetsCallsEndAndBeginsNone(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	w := newDeployment(t, camstest.Config{Calm: true, OnRequest: func(op string, _ url.Values) {
		if op == "CreateInstance" {
			arrived <- struct{}{}
			<-release
		}
	}})
	p := w.worker(t, "CAMSQ_CONCURRENCY=2")
	csv := "ChannelType,InstanceName\n"
	for i := range 10 {
		csv += fmt.Sprintf("VIBER,stop_%d\n", i)
	}
	in := filepath.Join(t.TempDir(), "stop.csv")
	if err := os.WriteFile(in, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := camsq(t, w.env, "enqueue", in).exit(time.Minute); code != exit.CodeOK {
		t.Fatalf("enqueue: exit code %d", code)
	}
	<-arrived
	<-arrived
	p.terminate()
	eventually(t, "the worker says that it stops", func() bool { return strings.Contains(p.output(), "stopping") })
	close(release)
	if code := p.exit(time.Minute); code != exit.CodeOK {
		t.Errorf("exit code %d", code)
	}
	if got := w.cloud.Calls("CreateInstance"); got != 2 {
		t.Errorf("%d calls, want the 2 that were under way", got)
	}
	status := camsq(t, w.env, "status", "--json")
	if code := status.exit(time.Minute); code != exit.CodeOK {
		t.Fatalf("status: exit code %d", code)
	}
	var o struct {
		Accounts []struct {
			Jobs map[string]int64 `json:"jobs"`
		} `json:"accounts"`
	}
	if err := json.Unmarshal([]byte(status.output()), &o); err != nil {
		t.Fatalf("status --json: %v\n%s", err, status.output())
	}
	if jobs := o.Accounts[0].Jobs; jobs["created"] != 2 || jobs["queued"] != 8 {
		t.Errorf("jobs %v, want 2 created and 8 queued", jobs)
	}
}
