package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	enqueuecmd "github.com/camsq/camsq/internal/cli/enqueue"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

func (d *cliTest) batch(account, name string) tasks.Batch {
	d.t.Helper()
	b, err := d.ledger.Batch(d.t.Context(), account, name)
	if err != nil || b == nil {
		d.t.Fatalf("batch %s of %s: %v, %v", name, account, b, err)
	}
	return *b
}

// toldBatch writes how far the callback of a completed batch is.
func (d *cliTest) toldBatch(ref tasks.BatchRef, to tasks.CallbackProgress) {
	d.t.Helper()
	c, err := d.ledger.Completion(d.t.Context(), ref)
	if err == nil {
		err = d.ledger.UpdateCompletion(d.t.Context(), c, to)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *cliTest) callbackTasks() []string {
	d.t.Helper()
	ids := d.rdb.LRange(d.t.Context(), "asynq:{callback}:pending", 0, -1).Val()
	slices.Sort(ids)
	return ids
}

func TestTheEndOfAFileClosesItsBatch(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	d.write("march.csv", "job_id,account,ChannelType,InstanceName\na,,VIBER,a\nb,eu,VIBER,b\nbad,,SMS,bad\n")
	if code, out, errs := d.run("enqueue", "march.csv"); code != exit.CodeSomeFailed {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	for _, account := range []string{"default", "eu"} {
		if d.batch(account, "march").Closed.IsZero() {
			t.Errorf("the batch of %s is not closed", account)
		}
	}
	// The jobs end, and the same file again changes nothing.
	d.succeed("default", "a", "i-1")
	d.run("enqueue", "march.csv")
	d.succeed("eu", "b", "i-2")
	d.run("enqueue", "march.csv")
	for _, account := range []string{"default", "eu"} {
		if b := d.batch(account, "march"); b.Completed.IsZero() || b.Completions != 1 {
			t.Errorf("the batch of %s: %+v", account, b)
		}
	}
	if got, want := d.callbackTasks(), []string{"default/march#1", "eu/march#1"}; !slices.Equal(got, want) {
		t.Errorf("callbacks %q, want %q", got, want)
	}
}

func TestABatchOfSeveralFilesIsClosedAfterTheLast(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	d.write("one.csv", "job_id,account,ChannelType,InstanceName\na,,VIBER,a\n")
	d.write("two.csv", "job_id,account,ChannelType,InstanceName\nb,eu,VIBER,b\n")
	d.write("broken.csv", "job_id,account,ChannelType,InstanceName\nc,,VIBER,c\nd,,VIBER,\"d\ne,,VIBER,e\n")
	if code, _, errs := d.run("enqueue", "--batch", "both", "one.csv", "two.csv", "broken.csv"); code != exit.CodeUsage {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, account := range []string{"default", "eu"} {
		if !d.batch(account, "both").Closed.IsZero() {
			t.Errorf("the batch of %s is closed, though a file of it broke off", account)
		}
	}
	if code, _, errs := d.run("enqueue", "--batch", "both", "one.csv", "two.csv"); code != exit.CodeOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, account := range []string{"default", "eu"} {
		if d.batch(account, "both").Closed.IsZero() {
			t.Errorf("the batch of %s is not closed", account)
		}
	}
}

func TestAFileThatIsNotSentWholeClosesNothing(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	ctx, cancel := context.WithCancel(t.Context())
	in := io.MultiReader(strings.NewReader(many(20_000)), then(func() {
		eventually(t, "the first rows are queued", func() bool {
			b, err := d.ledger.Batch(t.Context(), "default", "stopped")
			return err == nil && b != nil
		})
		cancel()
		<-t.Context().Done() // more might have come
	}))
	code, _, errs := d.runWith(ctx, in, "enqueue", "--batch", "stopped", "-")
	if code != exit.CodeSomeFailed || !strings.Contains(errs, "stopped at stdin") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if b := d.batch("default", "stopped"); !b.Closed.IsZero() {
		t.Errorf("the batch is closed: %+v", b)
	}
}

func TestStatusTellsOfABatchAllThatThereIs(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts().working()
	d.filed("march", "a", "b", "c", "d", "eu/e", "eu/f")
	d.reject("default", "a", "InvalidParameter.X", "no")
	d.reject("default", "b", "InvalidParameter.X", "no")
	d.reject("default", "c", tasks.CodeTriesSpent, "no")
	d.succeed("eu", "e", "i-1")
	d.hold("eu", "f")
	d.run("pause", "default", "--reason", "lunch")
	_, out, errs := d.run("status", "march")
	said(t, "open", 0, 0, scrub(out)+errs, `BATCH  ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
march  default       1        0          0     0        0       3          0
march  eu            0        0          0     1        1       0          0

default: closed TIME (N s ago) (all rows sent)
default: 1 job to go, time unknown: the account is paused
default: paused for N s: lunch; camsq resume default lets it go on
eu: closed TIME (N s ago) (all rows sent)
eu: 1 job held until an operator decides, and not completed before: camsq held --batch march

WHY JOBS FAILED     ACCOUNT  JOBS
InvalidParameter.X  default     2
camsq.TriesSpent    default     1
`)
	d.succeed("default", "d", "i-2")
	d.transition("eu", "f", tasks.StepResolveFailed, 0, func(r *tasks.Record) { r.Code = tasks.CodeResolved })
	first := tasks.BatchRef{Account: "default", Batch: "march", Completion: 1}
	d.toldBatch(first, tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 2})
	d.toldBatch(tasks.BatchRef{Account: "eu", Batch: "march", Completion: 1}, tasks.CallbackProgress{})
	notes := func() string {
		_, out, _ := d.run("status", "march")
		parts := strings.Split(scrub(out), "\n\n")
		return parts[1]
	}
	said(t, "completed", 0, 0, notes(), `default: completed TIME (N s ago); callback delivered, 2 tries
eu: completed TIME (N s ago); no webhook, since the account has no receiver`)

	d.run("resume", "default")
	d.run("retry", "a")
	d.run("enqueue", "--batch", "march", "--account", "eu", d.written("more.csv", "job_id,ChannelType,InstanceName\ng,VIBER,g\n"))
	said(t, "open again", 0, 0, notes(), `default: closed TIME (N s ago) (all rows sent)
default: open again after completion 1; callback delivered, 2 tries
default: 1 job to go: N s at 4.95 a second
eu: closed TIME (N s ago) (all rows sent)
eu: open again after completion 1; no webhook, since the account has no receiver
eu: 1 job to go: N s at 1.98 a second`)
	d.succeed("default", "a", "i-3")
	d.transition("eu", "g", tasks.StepCancel, 0, nil)
	d.toldBatch(tasks.BatchRef{Account: "eu", Batch: "march", Completion: 2}, tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 10, Reason: tasks.ReasonDNS})
	said(t, "completed again", 0, 0, notes(), `default: completed TIME (N s ago), completion 2; callback owed
eu: completed TIME (N s ago), completion 2; callback given up, 10 tries, the last one: dns`)
}

// written writes a file and returns its name.
func (d *cliTest) written(name, content string) string {
	d.write(name, content)
	return name
}

func TestABatchThatNobodyHasClosedIsShownAsSuch(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).working()
	d.filed("march", "a")
	d.startCall("default", "a")
	j := tasks.Job{ID: "b", Batch: "march", Request: tasks.Request{ChannelType: "VIBER", InstanceName: "b"}}
	d.create(j)
	_, out, _ := d.run("status", "march")
	if want := "default: not closed: its producer may send more; the same file again closes it\ndefault: 2 jobs to go: N s at 4.95 a second\n"; !strings.Contains(scrub(out), want) {
		t.Errorf("status:\n%s", out)
	}
	d.want(exit.CodeSomeFailed, `
1 queued job of batch march
  default  -  1
1 cancelled.
`, `
camsq: batch march is not closed: rows that were never sent are not cancelled; sending the file again would queue them
camsq: 1 job of batch march could not be cancelled (1 calling): their call was already sent; run this again later
`, "cancel", "--batch", "march")
	_, out, _ = d.run("status", "march")
	if want := "default: not closed: its producer may send more; 1 job was cancelled, but the same file again would queue its rows that were never sent, and close it\n"; !strings.Contains(out, want) {
		t.Errorf("status after cancel:\n%s", out)
	}
	d.transition("default", "a", tasks.StepSucceeded, 0, func(r *tasks.Record) { r.Instance = &tasks.EventInstance{InstanceID: "i-1"} })
	d.want(exit.CodeOK, "There is nothing left to cancel of batch march: 1 created, 1 cancelled.\n",
		"camsq: batch march is not closed: rows that were never sent are not cancelled; sending the file again would queue them\n", "cancel", "march")
}

func TestWhatIsToBeExpectedOfOpenJobs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		bring func(d *cliTest)
		want  string
	}{
		{"no worker", func(*cliTest) {}, "default: 100 jobs to go: no worker is running for account default\n"},
		{"a worker that has died", func(d *cliTest) { d.working().mini.Del("asynq:servers:{here:1:x}") },
			"default: 100 jobs to go: no worker is running for account default\n"},
		{"its turn", func(d *cliTest) { d.working() }, "default: 100 jobs to go: at least 20 s at 4.95 a second\n"},
		{"lost answers", func(d *cliTest) {
			d.working()
			d.startCall("default", "j0")
			d.transition("default", "j0", tasks.StepAmbiguous, 0, nil)
			d.run("cancel", "march")
		}, "default: 1 job to go: answers were lost; their outcomes are looked up for up to 3 min\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newCLITest(t)
			d.write("march.csv", many(100))
			d.run("enqueue", "march.csv")
			tt.bring(d)
			if _, out, _ := d.run("status", "march"); !strings.Contains(out, tt.want) {
				t.Errorf("status:\n%s\nwant %s", out, tt.want)
			}
		})
	}
}

// create sends a job as a Go program would.
func (d *cliTest) create(jobs ...tasks.Job) {
	d.t.Helper()
	key, _ := strings.CutPrefix(d.env[1], "CAMSQ_DATA_KEY=")
	client, err := enqueue.New(enqueue.Config{Redis: d.rdb, DataKeys: key})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, j := range jobs {
		if _, err := client.Create(d.t.Context(), j); err != nil {
			d.t.Fatal(err)
		}
	}
}

func TestOtherJobsOfTheAccountMakeTheRestAnEstimate(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).working()
	d.write("f.csv", many(100))
	d.run("enqueue", "f.csv")
	d.filed("march", "a", "b")
	_, out, _ := d.run("status", "march")
	if want := "default: 2 jobs to go: less than 1 s to 21 s at 4.95 a second\n"; !strings.Contains(out, want) {
		t.Errorf("status:\n%s", out)
	}
	_, out, _ = d.run("status", "--json", "march")
	var got struct{ Batches []inspect.BatchStatus }
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Batches) != 1 {
		t.Fatal(err, out)
	}
	if diff := cmp.Diff(&inspect.RestStatus{LeastSeconds: 0, MostSeconds: 20}, got.Batches[0].Rest); diff != "" {
		t.Errorf("rest (-want +got):\n%s", diff)
	}
}

func TestStatusWaitsForABatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(d *cliTest)
		code int
	}{
		"all well": {func(d *cliTest) { d.succeed("default", "a", "i-1"); d.succeed("default", "b", "i-2") }, exit.CodeOK},
		"not all": {func(d *cliTest) {
			d.succeed("default", "a", "i-1")
			d.reject("default", "b", "InvalidParameter.X", "no")
		}, exit.CodeSomeFailed},
	} {
		t.Run(name, func(t *testing.T) {
			d := newCLITest(t).working()
			d.filed("march", "a", "b")
			var out bytes.Buffer
			errs := &trigger{on: "0 of 2 ended", act: func() { tt.end(d) }}
			code := d.runTo(t.Context(), strings.NewReader(""), &out, errs, "status", "--wait", "march")
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if got := scrub(errs.String()); !strings.HasPrefix(got, "0 of 2 ended after N s: 2 queued; N s left at 4.95 a second\n2 of 2 ended after N s: ") {
				t.Errorf("stderr:\n%s", got)
			}
			if got := scrub(out.String()); !strings.Contains(got, "\ndefault: completed TIME (N s ago); callback owed\n") ||
				strings.Contains(got, "InvalidParameter.X  default     1\n") != (tt.code == exit.CodeSomeFailed) {
				t.Errorf("stdout:\n%s", got)
			}
		})
	}
	d := newCLITest(t)
	d.filed("march", "a")
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	code := d.runTo(ctx, strings.NewReader(""), &out, &trigger{on: "0 of 1 ended", act: cancel}, "status", "--wait", "march")
	said(t, "stopped", code, exit.CodeSomeFailed, scrub(out.String()), "No longer followed, after N s: 1 job: 1 queued\nThe jobs go on. To follow them again: camsq status --wait march\n")

	// It has ended already.
	d.succeed("default", "a", "i-1")
	if code, out, errs := d.run("status", "--wait", "--json", "march"); code != exit.CodeOK || errs != "" || !strings.HasPrefix(out, `{
  "batches": [
    {
      "batch": "march",`) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	d.want(exit.CodeUsage, "", "camsq: --wait needs a batch to follow: camsq status --wait BATCH\n", "status", "--wait")
	d.want(exit.CodeSomeFailed, "", "camsq: \"nope\" is neither a job nor a batch here; looked in account default\n", "status", "--wait", "nope")
}

func TestStatusWaitsForAJobToo(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.filed("march", "a")
	var out bytes.Buffer
	errs := &trigger{on: "0 of 1 ended", act: func() { d.reject("default", "a", "No", "no") }}
	code := d.runTo(t.Context(), strings.NewReader(""), &out, errs, "status", "--wait", "default/a")
	if got := scrub(out.String()); code != exit.CodeSomeFailed || !strings.HasPrefix(got, "Job default/a\n  state       failed\n") {
		t.Errorf("exit %d:\n%s", code, got)
	}
}

func TestDeadCallbacksOfBatchesAreListedAndReplayed(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	for _, name := range []string{"march", "april"} {
		d.filed(name, name, "eu/"+name)
		for _, account := range []string{"default", "eu"} {
			d.succeed(account, name, "i-"+name)
			d.toldBatch(tasks.BatchRef{Account: account, Batch: name, Completion: 1}, tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 10, Reason: tasks.ReasonDNS})
		}
	}
	d.setCallback("default", "march", tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 1, Reason: tasks.ReasonDNS})
	d.want(exit.CodeOK, `
5 dead callbacks
  default  dns  3
  eu       dns  2

JOB              BATCH  SINCE (UTC)          CODE  MESSAGE
default/march    march  2026-11-23 09:00:00  dns   instance.created, not taken in 1 try
default/april#1  april  2026-11-23 09:00:00  dns   batch.completed, not taken in 10 tries
default/march#1  march  2026-11-23 09:00:00  dns   batch.completed, not taken in 10 tries
eu/april#1       april  2026-11-23 09:00:00  dns   batch.completed, not taken in 10 tries
eu/march#1       march  2026-11-23 09:00:00  dns   batch.completed, not taken in 10 tries
`, "", "failed", "--callbacks")
	if got, want := d.listed("failed", "--callbacks", "--batch", "april", "--account", "eu"), []string{"eu/april#1"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	d.want(exit.CodeSomeFailed, "eu/april#1: queued for delivery\ndefault/march: queued for delivery\n",
		"camsq: there is no completed batch \"eu/april#2\"\n", "retry", "--callbacks", "eu/april#1", "eu/april#2", "default/march")
	d.want(exit.CodeSomeFailed, "", "camsq: batch eu/april#1 has no dead callback; it is owed\n", "retry", "--callbacks", "eu/april#1")
	d.want(exit.CodeOK, `
3 dead callbacks with code dns
  default  dns  2
  eu       dns  1
3 queued for delivery.
`, "", "retry", "--callbacks", "--code", "dns")
	d.want(exit.CodeOK, "There is no dead callback.\n", "", "failed", "--callbacks")
	if got, want := d.callbackTasks(), []string{"default/april#1", "default/march", "default/march#1", "eu/april#1", "eu/march#1"}; !slices.Equal(got, want) {
		t.Errorf("callbacks %q, want %q", got, want)
	}
	d.want(exit.CodeSomeFailed, "", "camsq: there is no job \"eu/april#1\"; looked in account default, eu\n", "retry", "eu/april#1")
}

func TestCancellingABatchCompletesItAndThenThereIsNothingLeft(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("march.csv", many(1200))
	d.run("enqueue", "march.csv")
	d.succeed("default", "j0", "i-0")
	d.want(exit.CodeOK, "1,199 queued jobs of batch march\n  default  -  1,199\n1,199 cancelled.\n", "", "cancel", "march")
	if got := d.callbackTasks(); !slices.Equal(got, []string{"default/march#1"}) {
		t.Errorf("callbacks %q", got)
	}
	d.want(exit.CodeOK, "There is nothing left to cancel of batch march: 1 created, 1,199 cancelled.\n", "", "cancel", "march")
	c, err := d.ledger.Completion(t.Context(), tasks.BatchRef{Account: "default", Batch: "march", Completion: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(c.Event().Data.Batch.Jobs), fmt.Sprint(tasks.EventBatchJobs{Total: 1200, Created: 1, Cancelled: 1199}); got != want {
		t.Errorf("the event: %s, want %s", got, want)
	}
}

func TestVeryManyJobsAreFollowedByTheirBatch(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.filed("march", "a", "b")
	d.succeed("default", "a", "i-1")
	d.reject("default", "b", "InvalidParameter.X", "no")
	var out, errs bytes.Buffer
	f := &cmdutil.Factory{Stdout: &out, Stderr: &errs}
	c := config.Config{RedisURL: "redis://" + d.mini.Addr(), Accounts: []config.Account{{Name: "default", Rate: 5}}, DataKeys: strings.TrimPrefix(d.env[1], "CAMSQ_DATA_KEY="), Keep: time.Hour}
	a, err := app.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	files := []importer.Input{{Path: "march.csv", Batch: "march"}}
	many := enqueuecmd.Imported{Jobs: make([]importer.Accepted, inspect.MaxFollowed+1), Files: files, Batches: []string{"march"}}
	err = enqueuecmd.Wait(t.Context(), f, a, many)
	if !errors.Is(err, exit.ErrSomeFailed) || errs.String() != "More than 100,000 jobs: their batches are followed, with all that they hold.\n" {
		t.Errorf("%v: %s", err, &errs)
	}
	if !strings.Contains(out.String(), "InvalidParameter.X  default     1\n") {
		t.Errorf("printed:\n%s", &out)
	}
	many.Batches = nil
	if err := enqueuecmd.Wait(t.Context(), f, a, many); err == nil || !strings.Contains(err.Error(), "were sent before under another one") {
		t.Errorf("of no batch: %v", err)
	}
}
