package main

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

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// filed enqueues jobs of these IDs as a batch.
func (d *desk) filed(batch string, ids ...string) {
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
	if code, out, errs := d.run("enqueue", batch+".csv"); code != exitOK {
		d.t.Fatalf("enqueue: exit code %d\n%s%s", code, out, errs)
	}
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

// want runs a command and holds what it says against what it should. Every time
// in it is nine o'clock.
func (d *desk) want(code int, out, errs string, args ...string) {
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

func (d *desk) states(refs ...string) map[string]tasks.State {
	d.t.Helper()
	got := map[string]tasks.State{}
	for _, name := range refs {
		account, id, _ := strings.Cut(name, "/")
		got[name] = d.get(account, id).State
	}
	return got
}

func TestFailedCountsBeforeItListsAndFilters(t *testing.T) {
	t.Parallel()
	d := newDesk(t).twoAccounts()
	d.filed("march", "a", "b", "eu/c")
	d.filed("april", "d")
	d.reject("default", "a", "InvalidParameter.X", "no \x1b[31msuch name")
	d.reject("default", "b", tasks.CodeTriesSpent, "gave up")
	d.reject("eu", "c", tasks.CodeTriesSpent, "gave up")
	d.reject("default", "d", tasks.CodeTriesSpent, "gave up")

	d.want(exitOK, `
4 failed jobs
  default  camsq.TriesSpent    2
  default  InvalidParameter.X  1
  eu       camsq.TriesSpent    1

JOB        BATCH  SINCE (UTC)          CODE                MESSAGE
default/d  april  2026-11-23 09:00:00  camsq.TriesSpent    gave up
default/b  march  2026-11-23 09:00:00  camsq.TriesSpent    gave up
default/a  march  2026-11-23 09:00:00  InvalidParameter.X  no [31msuch name
eu/c       march  2026-11-23 09:00:00  camsq.TriesSpent    gave up
`, "", "failed")
	for name, tt := range map[string]struct {
		args []string
		want []string
	}{
		"all":             {nil, []string{"default/d", "default/b", "default/a", "eu/c"}},
		"one account":     {[]string{"--account", "eu"}, []string{"eu/c"}},
		"one code":        {[]string{"--code", "camsq.TriesSpent"}, []string{"default/d", "default/b", "eu/c"}},
		"one batch":       {[]string{"--batch", "march"}, []string{"default/b", "default/a", "eu/c"}},
		"all three":       {[]string{"--batch", "march", "--code", "camsq.TriesSpent", "--account", "default"}, []string{"default/b"}},
		"a limit":         {[]string{"--limit", "2"}, []string{"default/d", "default/b"}},
		"none that match": {[]string{"--code", "camsq"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := d.listed(append([]string{"failed"}, tt.args...)...); !slices.Equal(got, tt.want) {
				t.Errorf("listed %q, want %q", got, tt.want)
			}
		})
	}
	d.want(exitOK, "There is no failed job of batch march with code Nope.\n", "", "failed", "--code", "Nope", "--batch", "march")
	d.want(exitUsage, "", "camsq: --account us: there is no such account; there is default, eu\n", "failed", "--account", "us")
	d.want(exitUsage, "", "camsq: failed takes no arguments, and here is \"march\"; see camsq failed --help\n", "failed", "march")
	if code, out, _ := d.run("failed", "--limit", "1"); code != exitOK || !strings.Contains(out, "and 3 more") {
		t.Errorf("--limit 1: %d\n%s", code, out)
	}
}

// listed are the jobs that a listing names in its JSON.
func (d *desk) listed(args ...string) []string {
	d.t.Helper()
	code, out, errs := d.run(append(args, "--json")...)
	if code != exitOK || errs != "" {
		d.t.Fatalf("camsq %q: exit code %d\n%s", args, code, errs)
	}
	var jobs []string
	for line := range strings.Lines(out) {
		var s jobStatus
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			d.t.Fatalf("camsq %q: %v in %s", args, err, line)
		}
		jobs = append(jobs, s.Job)
	}
	return jobs
}

func TestHeldShowsBetweenWhatAPersonMustChoose(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.want(exitOK, "There is no held job.\n", "", "held")
	d.filed("march", "a", "b")
	d.hold("default", "a", "i-1", "i-2")
	d.want(exitOK, `
1 held job
  default  camsq.SeveralInstances  1

JOB        BATCH  SINCE (UTC)          CODE                    MESSAGE
default/a  march  2026-11-23 09:00:00  camsq.SeveralInstances  several instances of that name
`, "", "held")
	_, out, _ := d.run("held", "--json")
	var s jobStatus
	if err := json.Unmarshal([]byte(out), &s); err != nil || !slices.Equal(s.Candidates, []string{"i-1", "i-2"}) || s.State != tasks.StateHeld {
		t.Errorf("held --json: %v\n%s", err, out)
	}
}

func TestAJobThatCannotBeReadIsListedToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.filed("march", "a", "b")
	d.reject("default", "a", "No", "no")
	d.reject("default", "b", "No", "no")
	d.rdb.Set(t.Context(), ledger.JobKey(tasks.Ref{Account: "default", ID: "a"}), "2 from the future", 0)
	if _, out, _ := d.run("failed"); !strings.Contains(out, "2 failed jobs") || !strings.Contains(out, "default/a  -      -                    unreadable") {
		t.Errorf("failed:\n%s", out)
	}
	code, out, errs := d.run("retry", "--all")
	if code != exitSomeFailed || !strings.Contains(out, "1 put back into the queue.\n") || !strings.Contains(errs, "default/a") {
		t.Errorf("retry --all: exit code %d\n%s%s", code, out, errs)
	}
}

func TestRetryPutsBackWhatIsNamedOrMatches(t *testing.T) {
	t.Parallel()
	d := newDesk(t).twoAccounts()
	d.filed("march", "a", "b", "c", "eu/c", "eu/e", "done")
	for _, ref := range []string{"default/a", "default/b", "default/c", "eu/c", "eu/e"} {
		account, id, _ := strings.Cut(ref, "/")
		d.reject(account, id, "No."+id, "no")
	}
	d.succeed("default", "done", "i-1")

	d.want(exitSomeFailed, "default/a: put back into the queue\n", `
camsq: "c" is job default/c and also job eu/c; name it as ACCOUNT/ID
camsq: there is no job "nobody"; looked in account default, eu
camsq: job default/done is created; only a failed job can be retried
`, "retry", "a", "c", "nobody", "done", "default/a")
	d.want(exitOK, "eu/c: put back into the queue\n", "", "retry", "eu/c")
	d.want(exitOK, `
1 failed job with code No.b
  default  No.b  1
1 put back into the queue.
`, "", "retry", "--code", "No.b")
	d.want(exitOK, "There is no failed job with code No.b.\n", "", "retry", "--code", "No.b")
	d.want(exitOK, `
1 failed job in account eu of batch march
  eu  No.e  1
1 put back into the queue.
`, "", "retry", "--batch", "march", "--account", "eu")
	want := map[string]tasks.State{
		"default/a": tasks.StateQueued, "default/b": tasks.StateQueued, "default/c": tasks.StateFailed,
		"eu/c": tasks.StateQueued, "eu/e": tasks.StateQueued, "default/done": tasks.StateCreated,
	}
	if diff := cmp.Diff(want, d.states("default/a", "default/b", "default/c", "eu/c", "eu/e", "default/done")); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	for _, args := range [][]string{
		{"retry"}, {"retry", "--account", "eu"}, {"retry", "a", "--all"}, {"retry", "a", "--account", "eu"}, {"retry", "--all", "--account", "us"},
	} {
		if code, _, errs := d.run(args...); code != exitUsage || strings.Count(errs, "\n") != 1 {
			t.Errorf("camsq %q: exit code %d\n%s", args, code, errs)
		}
	}
}

func TestDeadCallbacksAreListedAndReplayed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.filed("march", "a", "b", "c")
	for i, id := range []string{"a", "b", "c"} {
		d.succeed("default", id, "i-"+id)
		d.told("default", id, tasks.CallbackProgress{State: tasks.CallbackDead, Tries: i + 1, Reason: tasks.ReasonTimeout})
	}
	d.told("default", "c", tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1})
	d.want(exitOK, `
2 dead callbacks
  default  timeout  2

JOB        BATCH  SINCE (UTC)          CODE     MESSAGE
default/b  march  2026-11-23 09:00:00  timeout  instance.created, not taken in 2 tries
default/a  march  2026-11-23 09:00:00  timeout  instance.created, not taken in 1 try
`, "", "failed", "--callbacks")
	d.want(exitSomeFailed, "default/a: to be told again\n",
		"camsq: job default/c has no callback that was given up; it is delivered\n", "retry", "--callbacks", "a", "c")
	d.want(exitOK, `
1 dead callback
  default  timeout  1
1 to be told again.
`, "", "retry", "--callbacks", "--all")
	d.want(exitOK, "There is no dead callback.\n", "", "failed", "--callbacks")
	if n := d.rdb.LLen(t.Context(), "asynq:{callback}:pending").Val(); n != 2 {
		t.Errorf("%d callbacks are queued, want 2", n)
	}
}

func TestCancelWithdrawsWhatIsQueuedAndTellsOfTheRest(t *testing.T) {
	t.Parallel()
	d := newDesk(t).twoAccounts()
	d.filed("march", "a", "b", "eu/c", "called", "lost")
	d.filed("april", "d", "march", "eu/e")
	d.begin("default", "called")
	d.begin("default", "lost")
	d.step("default", "lost", tasks.StepAmbiguous, 0, nil)

	d.want(exitUsage, "", "camsq: march is a batch and also job default/march: give --batch for the one, ACCOUNT/ID for the other\n", "cancel", "march")
	d.want(exitOK, "default/march: withdrawn\n", "", "cancel", "default/march")
	d.want(exitSomeFailed, "", `
camsq: there is no job or batch "nobody"; looked in account default, eu
camsq: job default/called is calling: its call may be on the wire, and cannot be taken back
camsq: job default/lost is uncertain: its call had no answer, and its instance is being looked for
camsq: job default/march is cancelled already
`, "cancel", "called", "lost", "default/march", "nobody")
	d.want(exitSomeFailed, `
3 queued jobs of batch march
  default  -  2
  eu       -  1
3 withdrawn.
`, "camsq: 2 jobs of batch march go on (1 calling, 1 uncertain): a call cannot be taken back; run it again for those that return to the queue\n",
		"cancel", "--batch", "march")
	d.want(exitOK, `
1 queued job in account eu of batch april
  eu  -  1
1 withdrawn.
`, "", "cancel", "--batch", "april", "--account", "eu")
	d.want(exitOK, `
1 queued job of batch april
  default  -  1
1 withdrawn.
`, "", "cancel", "april")
	d.want(exitSomeFailed, "", "camsq: there is no batch \"may\" in account eu\n", "cancel", "--batch", "may", "--account", "eu")
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

// The jobs are counted before they are withdrawn, and do not stand still meanwhile.
func TestTheNumbersOfCancelAddUpThoughJobsMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		moves func(d *desk)
		want  string
	}{
		{"some are called", func(d *desk) { d.begin("default", "a"); d.succeed("default", "b", "i-1") }, "1 withdrawn.\n2 had gone on meanwhile.\n"},
		{"some are sent", func(d *desk) {
			d.create(tasks.Job{ID: "d", Batch: "march", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "d"}})
		}, "4 withdrawn, with 1 that came meanwhile.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			d.filed("march", "a", "b", "c")
			out := firstWrite{do: func() { tt.moves(d) }}
			d.runTo(t.Context(), strings.NewReader(""), &out, io.Discard, "cancel", "march")
			if want := "3 queued jobs of batch march\n  default  -  3\n" + tt.want; out.String() != want {
				t.Errorf("it says\n%swant\n%s", &out.Buffer, want)
			}
		})
	}
}

func TestResolveRecordsWhatAPersonKnows(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.env = append(d.env, "CAMSQ_CALLBACK_URL=https://example.com/hook")
	d.filed("march", "a", "b", "c", "d")
	for _, id := range []string{"a", "b", "c"} {
		d.hold("default", id, "i-1", "i-2")
	}
	d.want(exitUsage, "", "camsq: --created i-3: it is not among the instances in question (i-1, i-2); add --other if it is the job's all the same\n",
		"resolve", "a", "--created", "i-3")
	d.want(exitOK, "Job default/a is created: resolved by an operator: seen it\n", "", "resolve", "a", "--created", "i-1", "--note", "seen\tit")
	d.want(exitSomeFailed, "", "camsq: instance i-1: another job has this instance: default/a\n", "resolve", "b", "--created", "i-1")
	d.want(exitOK, "Job default/b is created: resolved by an operator\n", "", "resolve", "b", "--created", "i-3", "--other")
	d.want(exitOK, "Job default/c is failed: given up by an operator\n", "", "resolve", "default/c", "--failed")
	d.want(exitSomeFailed, "", "camsq: job default/c is failed; only a held job can be resolved\n", "resolve", "c", "--absent")
	d.want(exitSomeFailed, "", "camsq: there is no job \"nobody\"; looked in account default\n", "resolve", "nobody", "--absent")
	for _, id := range []string{"a", "b", "c"} {
		if got := d.get("default", id).Callback.State; got != tasks.CallbackOwed {
			t.Errorf("the callback of %s is %q, want it owed", id, got)
		}
	}
	d.hold("default", "d")
	d.want(exitOK, "Job default/d is queued: an operator found no instance of it\n", "", "resolve", "d", "--absent")
	for _, args := range [][]string{
		{"resolve", "a"}, {"resolve"}, {"resolve", "a", "--absent", "--failed"}, {"resolve", "a", "--created", ""},
		{"resolve", "a", "--created", "i 1"}, {"resolve", "a", "--absent", "--note", strings.Repeat("x", 201)},
	} {
		if code, _, errs := d.run(args...); code != exitUsage || strings.Count(errs, "\n") != 1 {
			t.Errorf("camsq %q: exit code %d, want 2 and one line\n%s", args, code, errs)
		}
	}
}

func TestWithoutRedisNoDecisionIsTaken(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.mini.Close()
	for _, args := range [][]string{{"failed"}, {"retry", "--all"}} {
		if code, _, errs := d.run(args...); code != exitUnreachable || strings.Count(errs, "\n") != 1 {
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
	d := newDesk(t)
	d.filed("march", "a")
	d.reject("default", "a", "No", "no")
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &stopper{stop: cancel}, new(strings.Builder)
	code := d.runTo(ctx, strings.NewReader(""), out, errs, "retry", "--all")
	if want := "camsq: 0 put back into the queue, then: stopped; run it again for the rest\n"; code != exitSomeFailed || errs.String() != want {
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
	d := newDesk(t)
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
					_, err = d.ledger.Step(t.Context(), r, tasks.StepSpent, 0)
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

	begin := time.Now()
	if got := d.listed("failed"); len(got) != n {
		t.Errorf("failed --json lists %d jobs", len(got))
	}
	t.Logf("listed in %v", time.Since(begin))
	if _, out, _ := d.run("failed", "--all"); !strings.HasPrefix(out, "12,000 failed jobs\n") || strings.Count(out, "default/job-") != n {
		t.Errorf("failed --all lists %d jobs:\n%.500s", strings.Count(out, "default/job-"), out)
	}
	begin = time.Now()
	d.want(exitOK, `
10,800 failed jobs with code camsq.TriesSpent
  default  camsq.TriesSpent  10,800
10,800 put back into the queue.
`, "", "retry", "--code", tasks.CodeTriesSpent)
	t.Logf("retried in %v", time.Since(begin))
	d.want(exitOK, `
1,200 failed jobs of batch import
  default  InvalidParameter  1,200
1,200 put back into the queue.
`, "", "retry", "--batch", "import")
	d.want(exitOK, "There is no failed job.\n", "", "failed")
	pending, err := d.rdb.LRange(t.Context(), queue+"pending", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(pending)
	if !slices.Equal(pending, ids) {
		t.Errorf("%d tasks are queued, want one for each of the %d jobs", len(pending), n)
	}
}
