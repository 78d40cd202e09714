package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// filed enqueues jobs of these IDs as a batch.
func (d *cliTest) filed(batch string, ids ...string) {
	d.t.Helper()
	var rows strings.Builder
	rows.WriteString("job_id,account,ChannelType,InstanceName\n")
	for _, id := range ids {
		account, id, ok := strings.Cut(id, "/")
		if !ok {
			account, id = tasks.DefaultAccount, account
		}
		fmt.Fprintf(&rows, "%s,%s,VIBER,name-%s\n", id, account, id)
	}
	d.write(batch+".csv", rows.String())
	if code, out, errs := d.run("enqueue", batch+".csv"); code != exit.CodeOK {
		d.t.Fatalf("enqueue: exit code %d\n%s%s", code, out, errs)
	}
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

// want runs a command and holds what it says against what it should. Every time
// in it is nine o'clock.
func (d *cliTest) want(code int, out, errs string, args ...string) {
	d.t.Helper()
	gotCode, gotOut, gotErrs := d.run(args...)
	if gotCode != code {
		d.t.Errorf("camsq %q: exit code %d, want %d", args, gotCode, code)
	}
	if diff := cmp.Diff(strings.TrimLeft(out, "\n"), times.ReplaceAllString(gotOut, "2026-11-23 09:00:00")); diff != "" {
		d.t.Errorf("camsq %q: stdout (-want +got):\n%s", args, diff)
	}
	if diff := cmp.Diff(strings.TrimLeft(errs, "\n"), gotErrs); diff != "" {
		d.t.Errorf("camsq %q: stderr (-want +got):\n%s", args, diff)
	}
}

// listed are the jobs that a listing names in its JSON.
func (d *cliTest) listed(args ...string) []string {
	d.t.Helper()
	code, out, errs := d.run(append(args, "--json")...)
	if code != exit.CodeOK || errs != "" {
		d.t.Fatalf("camsq %q: exit code %d\n%s", args, code, errs)
	}
	var jobs []string
	for line := range strings.Lines(out) {
		var s inspect.JobStatus
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			d.t.Fatalf("camsq %q: %v in %s", args, err, line)
		}
		jobs = append(jobs, s.Job)
	}
	return jobs
}

func TestAJobThatCannotBeReadIsListedToo(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.filed("march", "a", "b")
	d.reject("default", "a", "No", "no")
	d.reject("default", "b", "No", "no")
	d.rdb.Set(t.Context(), ledger.JobKey(tasks.Ref{Account: "default", ID: "a"}), "2 from the future", 0)
	if _, out, _ := d.run("failed"); !strings.Contains(out, "2 failed jobs") || !strings.Contains(out, "default/a  -      -                    unreadable") {
		t.Errorf("failed:\n%s", out)
	}
	code, out, errs := d.run("retry", "--all")
	if code != exit.CodeSomeFailed || !strings.Contains(out, "1 put back into the queue.\n") || !strings.Contains(errs, "default/a") {
		t.Errorf("retry --all: exit code %d\n%s%s", code, out, errs)
	}
}

// firstWrite does something when it is written to for the first time.
type firstWrite struct {
	bytes.Buffer
	do func()
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if w.do != nil {
		do := w.do
		w.do = nil
		do()
	}
	return w.Buffer.Write(p)
}

// The jobs are counted before they are cancelled, and do not stand still meanwhile.
func TestTheNumbersOfCancelAddUpThoughJobsMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		moves func(d *cliTest)
		want  string
	}{
		{"some are called", func(d *cliTest) { d.startCall("default", "a"); d.succeed("default", "b", "i-1") }, "1 cancelled.\n2 had gone on meanwhile.\n"},
		{"some are sent", func(d *cliTest) {
			d.create(tasks.Job{ID: "d", Batch: "march", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "d"}})
		}, "4 cancelled, with 1 that came meanwhile.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newCLITest(t)
			d.filed("march", "a", "b", "c")
			out := firstWrite{do: func() { tt.moves(d) }}
			d.runTo(t.Context(), strings.NewReader(""), &out, io.Discard, "cancel", "march")
			if want := "3 queued jobs of batch march\n  default  -  3\n" + tt.want; out.String() != want {
				t.Errorf("it says\n%swant\n%s", &out.Buffer, want)
			}
		})
	}
}

func TestWithoutRedisNoDecisionIsTaken(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.mini.Close()
	for _, args := range [][]string{{"failed"}, {"retry", "--all"}} {
		if code, _, errs := d.run(args...); code != exit.CodeUnreachable || strings.Count(errs, "\n") != 1 {
			t.Errorf("camsq %q: exit code %d\n%s", args, code, errs)
		}
	}
}

// stopper is a terminal at which a person presses Ctrl-C as soon as there is text.
type stopper struct {
	strings.Builder
	stop func()
}

func (s *stopper) Write(b []byte) (int, error) {
	s.stop()
	return s.Builder.Write(b)
}

func TestAPersonMayStopInTheMiddle(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.filed("march", "a")
	d.reject("default", "a", "No", "no")
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &stopper{stop: cancel}, new(strings.Builder)
	code := d.runTo(ctx, strings.NewReader(""), out, errs, "retry", "--all")
	if want := "camsq: 0 put back into the queue, then: stopped; run it again for the rest\n"; code != exit.CodeSomeFailed || errs.String() != want {
		t.Errorf("exit code %d, stderr %q, want %q", code, errs, want)
	}
	if got := d.get("default", "a").State; got != tasks.StateFailed {
		t.Errorf("the job is %s", got)
	}
}

// asynq's archive drops what is beyond 10,000. Here nothing is dropped.
func TestTwelveThousandFailuresAreAllThereAndAllComeBack(t *testing.T) {
	t.Parallel()
	const n = 12_000
	d := newCLITest(t)
	server := redistest.Start(t)
	d.rdb = server.Client()
	key, _ := strings.CutPrefix(d.env[1], "CAMSQ_DATA_KEY=")
	ring, err := seal.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	if d.ledger, err = ledger.New(ledger.Config{Redis: d.rdb, Keys: ring}); err != nil {
		t.Fatal(err)
	}
	d.env[0] = "CAMSQ_REDIS_URL=" + server.URL()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("job-%05d", i)
	}
	d.filed("import", ids...)
	var failing sync.WaitGroup
	for part := range slices.Chunk(ids, n/16) {
		failing.Go(func() {
			found, err := d.ledger.GetMany(t.Context(), "default", part)
			for _, f := range found {
				r := f.Record
				r.Code = tasks.CodeTriesSpent
				if strings.HasSuffix(r.ID, "7") {
					r.Code = "InvalidParameter"
				}
				if err == nil {
					_, err = d.ledger.Transition(t.Context(), r, tasks.StepSpent, 0)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	failing.Wait()
	// Their tasks have been done.
	queue := "asynq:{" + tasks.ProvisionQueue("default") + "}:"
	done := []string{queue + "pending"}
	for _, id := range ids {
		done = append(done, queue+"t:"+id)
	}
	if err := d.rdb.Del(t.Context(), done...).Err(); err != nil {
		t.Fatal(err)
	}

	start := time.Now()
	if got := d.listed("failed"); len(got) != n {
		t.Errorf("failed --json lists %d jobs", len(got))
	}
	t.Logf("listed in %v", time.Since(start))
	if _, out, _ := d.run("failed", "--all"); !strings.HasPrefix(out, "12,000 failed jobs\n") || strings.Count(out, "default/job-") != n {
		t.Errorf("failed --all lists %d jobs:\n%.500s", strings.Count(out, "default/job-"), out)
	}
	start = time.Now()
	d.want(exit.CodeOK, `
10,800 failed jobs with code camsq.TriesSpent
  default  camsq.TriesSpent  10,800
10,800 put back into the queue.
`, "", "retry", "--code", tasks.CodeTriesSpent)
	t.Logf("retried in %v", time.Since(start))
	d.want(exit.CodeOK, `
1,200 failed jobs of batch import
  default  InvalidParameter  1,200
1,200 put back into the queue.
`, "", "retry", "--batch", "import")
	d.want(exit.CodeOK, "There is no failed job.\n", "", "failed")
	pending, err := d.rdb.LRange(t.Context(), queue+"pending", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(pending)
	if !slices.Equal(pending, ids) {
		t.Errorf("%d tasks are queued, want one for each of the %d jobs", len(pending), n)
	}
}
