package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// A worker does not refuse a Redis that may lose its writes, and names each
// setting that can, once, on a line of its own.
func TestAWorkersStartNamesWhatRedisMayLose(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want []string // of each line: level, setting, and a word of what it means
	}{
		"nothing": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, nil},
		"a second": {[]string{"--appendonly", "yes"}, []string{
			`level=INFO msg="redis durability" server=ADDR setting="appendfsync everysec" means=".*last second or two.*"`}},
		"half a minute": {[]string{"--appendonly", "yes", "--appendfsync", "no"}, []string{
			`level=WARN msg="redis durability" server=ADDR setting="appendfsync no" means=".*half a minute.*"`}},
		"everything": {nil, []string{
			`level=WARN msg="redis durability" server=ADDR setting="appendonly no" means=".*NO append-only file: .* loses jobs.*" do="set appendonly yes"`}},
		"what is evicted": {[]string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, []string{
			`level=WARN msg="redis eviction" server=ADDR setting="maxmemory-policy allkeys-lru" means=".*jobs vanish.*" do="set noeviction"`}},
		"a replica takes no writes": {[]string{"--appendonly", "yes", "--appendfsync", "always", "--replicaof", "127.0.0.1", "1"}, []string{
			`level=WARN msg="redis role" server=ADDR setting="role slave" means=".*cannot be written to.*" do="name the master.*"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, tt.args...)
			lines := startLog(t, server.URL())
			if len(lines) != len(tt.want) {
				t.Fatalf("it logs %d lines, want %d:\n%s", len(lines), len(tt.want), strings.Join(lines, "\n"))
			}
			for i, want := range tt.want {
				wantLines(t, lines[i], "time=.* "+strings.ReplaceAll(want, "ADDR", server.Addr())+".*")
			}
		})
	}
}

// A Redis that says nothing of itself may be as it should: that is no warning.
func TestAWorkersStartDoesNotWarnOfWhatItIsNotTold(t *testing.T) {
	for _, line := range startLog(t, "redis://"+miniredis.RunT(t).Addr()) {
		if !strings.Contains(line, "level=INFO") || !strings.Contains(line, "setting=unknown") {
			t.Error(line)
		}
	}
}

// startLog is what a worker's log says of its Redis.
func startLog(t *testing.T, redisURL string) []string {
	t.Helper()
	cloud := startCloud(t, camstest.Config{})
	a, err := app.Open(config.Config{RedisURL: redisURL, DataKeys: enqueue.NewDataKey(), Accounts: []config.Account{{Name: "default", Endpoint: cloud.URL()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var out screen
	a.WarnOfRedis(t.Context(), slog.New(slog.NewTextHandler(&out, nil)))
	return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' })
}

// unsavedDeployment is a deployment whose Redis keeps only what it was told to save.
func unsavedDeployment(t *testing.T, c camstest.Config) *deployment {
	t.Helper()
	w := newDeployment(t, c)
	w.redis = redistest.Start(t, "--dbfilename", "saved.rdb")
	w.env = append(w.env, "CAMSQ_REDIS_URL="+w.redis.URL(), "CAMSQ_RATE=200", "CAMSQ_CALL_TIMEOUT=4s")
	return w
}

// jobOutcome is what the record of a job says.
type jobOutcome struct {
	State    tasks.State
	Code     string
	Adopted  bool
	Instance string
}

// outcomes reads every job's record.
func (w *deployment) outcomes(t *testing.T, ids []string) map[string]jobOutcome {
	t.Helper()
	setting := func(name string) (value string) { // the last one counts, as in a process
		for _, pair := range w.env {
			if v, ok := strings.CutPrefix(pair, name+"="); ok {
				value = v
			}
		}
		return value
	}
	a, err := app.Open(config.Config{RedisURL: setting("CAMSQ_REDIS_URL"), DataKeys: setting("CAMSQ_DATA_KEY"), Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	found, err := a.Ledger.GetMany(t.Context(), tasks.DefaultAccount, ids)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]jobOutcome{}
	for i, f := range found {
		o := jobOutcome{State: f.Record.State, Code: f.Record.Code, Adopted: f.Record.Adopted}
		if f.Record.Instance != nil {
			o.Instance = f.Record.Instance.InstanceID
		}
		if f.Err == nil {
			out[ids[i]] = o
		}
	}
	return out
}

// eventTypes lists the types of each job's events, and whether the instance was adopted;
// those of batches under no job.
func (d *deliveries) eventTypes(t *testing.T) map[string][]string {
	t.Helper()
	if _, _, bad := d.counts(); bad > 0 {
		t.Errorf("%d webhooks had no good signature, or came with two bodies", bad)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out, seen := map[string][]string{}, map[string]bool{}
	for _, x := range d.all {
		if seen[x.ID] {
			continue
		}
		seen[x.ID] = true
		what := string(x.Event.Type)
		if x.Event.Data.Adopted {
			what += " adopted"
		}
		out[x.Event.Data.JobID] = append(out[x.Event.Data.JobID], what)
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// lossFile writes a file of n jobs.
func lossFile(t *testing.T, n int) (path string, ids []string) {
	t.Helper()
	text := "job_id,ChannelType,InstanceName\n"
	for i := range n {
		ids = append(ids, fmt.Sprintf("job-%d", i))
		text += fmt.Sprintf("job-%d,VIBER,shop_%d\n", i, i)
	}
	path = filepath.Join(t.TempDir(), "shops.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, ids
}

// The same file again heals a Redis that came back empty: each name is met before
// the first call, and no instance is made a second time. The workers stay up.
func TestTheSameFileAgainHealsARedisThatForgotEverything(t *testing.T) {
	for _, tt := range []struct {
		existing string
		code     int
		want     jobOutcome // without the instance
		event    string
	}{
		{"fail", exit.CodeSomeFailed, jobOutcome{State: tasks.StateFailed, Code: tasks.CodeExists}, "instance.failed"},
		{"adopt", exit.CodeOK, jobOutcome{State: tasks.StateCreated, Code: "OK", Adopted: true}, "instance.created adopted"},
	} {
		t.Run(tt.existing, func(t *testing.T) {
			t.Parallel()
			w := unsavedDeployment(t, camstest.Config{})
			file, ids := lossFile(t, 8)
			p := w.worker(t, "CAMSQ_EXISTING="+tt.existing)
			if first := camsq(t, w.env, "enqueue", "--wait", file); first.exit(time.Minute) != exit.CodeOK {
				t.Fatalf("the first time:\n%s", first.output())
			}
			before := w.outcomes(t, ids)
			calls := w.cloud.Calls("CreateInstance")
			eventually(t, "every outcome and the batch are told", func() bool { n, _, _ := w.events.counts(); return n == len(ids)+1 })

			w.redis.Restart()
			if lost := w.outcomes(t, ids); len(lost) > 0 {
				t.Fatalf("Redis has not forgotten: %v", lost)
			}
			again := camsq(t, w.env, "enqueue", "--wait", file)
			if code := again.exit(time.Minute); code != tt.code {
				t.Errorf("the same file again: exit code %d, want %d\n%s", code, tt.code, again.output())
			}
			want, events := map[string]jobOutcome{}, map[string][]string{"": {"batch.completed", "batch.completed"}}
			for _, id := range ids {
				o := tt.want
				if o.Adopted {
					o.Instance = before[id].Instance
				}
				want[id], events[id] = o, []string{"instance.created", tt.event}
			}
			if diff := cmp.Diff(want, w.outcomes(t, ids)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			eventually(t, "every new outcome and the batch are told", func() bool { n, _, _ := w.events.counts(); return n == 2*len(ids)+2 })
			if diff := cmp.Diff(events, w.events.eventTypes(t)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}

			// Who wanted to see first which names exist then has their jobs take them.
			if tt.existing == "fail" {
				p.terminate()
				if code := p.exit(time.Minute); code != exit.CodeOK {
					t.Errorf("worker: exit code %d", code)
				}
				w.worker(t, "CAMSQ_EXISTING=adopt")
				if retry := camsq(t, w.env, "retry", "--code", tasks.CodeExists); retry.exit(time.Minute) != exit.CodeOK {
					t.Fatalf("retry:\n%s", retry.output())
				}
				for _, id := range ids {
					want[id] = jobOutcome{State: tasks.StateCreated, Code: "OK", Adopted: true, Instance: before[id].Instance}
				}
				eventually(t, "the jobs have their instances", func() bool { return cmp.Equal(want, w.outcomes(t, ids)) })
			}
			if got := w.cloud.Calls("CreateInstance"); got != calls {
				t.Errorf("%d creates were asked for after the loss", got-calls)
			}
		})
	}
}

// Redis comes back from a snapshot that is older than the mark of a call that made
// an instance: the job is queued again as if nothing had been. No second instance
// is made, since the list shows the first.
func TestAMarkThatRedisForgotMakesNoSecondInstance(t *testing.T) {
	for _, tt := range []struct {
		name, existing string
		callerDies     bool
		want           jobOutcome
	}{
		{"the caller dies, fail", "fail", true, jobOutcome{State: tasks.StateFailed, Code: tasks.CodeExists}},
		{"the caller dies, adopt", "adopt", true, jobOutcome{State: tasks.StateCreated, Code: "OK", Adopted: true}},
		{"the caller lives, fail", "fail", false, jobOutcome{State: tasks.StateFailed, Code: tasks.CodeExists}},
		{"the caller lives, adopt", "adopt", false, jobOutcome{State: tasks.StateCreated, Code: "OK", Adopted: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := unsavedDeployment(t, camstest.Config{Calm: true})
			w.cloud.FailName("shop_0", camstest.Fault{Created: true, Reply: camstest.ReplyHang})
			file, ids := lossFile(t, 1)
			if code := camsq(t, w.env, "enqueue", file).exit(time.Minute); code != exit.CodeOK {
				t.Fatalf("enqueue: exit code %d", code)
			}
			if err := w.redis.Client().Save(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			p := w.worker(t, "CAMSQ_EXISTING="+tt.existing)
			eventually(t, "the call has made the instance", func() bool { return w.cloud.Created("shop_0") == 1 })
			if got := w.outcomes(t, ids)["job-0"]; got.State != tasks.StateCalling {
				t.Fatalf("the job is %s", got.State)
			}
			if tt.callerDies {
				_ = p.cmd.Process.Kill()
				_ = p.cmd.Wait()
			}
			w.redis.Restart()
			if tt.callerDies {
				if got := w.outcomes(t, ids)["job-0"]; got.State != tasks.StateQueued {
					t.Fatalf("Redis has not forgotten the mark: the job is %q", got.State)
				}
				p = w.worker(t, "CAMSQ_EXISTING="+tt.existing)
			}
			want := tt.want
			if want.Adopted {
				want.Instance = w.cloud.Instances()[0].InstanceID
			}
			eventually(t, "the job ends", func() bool { return w.outcomes(t, ids)["job-0"].State.Final() })
			// A caller that lives still has to hear that it may not write what became of its call.
			p.terminate()
			if code := p.exit(time.Minute); code != exit.CodeOK {
				t.Errorf("worker: exit code %d", code)
			}
			if diff := cmp.Diff(want, w.outcomes(t, ids)["job-0"]); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if n, calls := w.cloud.Created("shop_0"), w.cloud.Calls("CreateInstance"); n != 1 || calls != 1 {
				t.Errorf("%d instances after %d calls, want 1 after 1", n, calls)
			}
		})
	}
}
