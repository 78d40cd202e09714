package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/examples"
	"github.com/camsq/camsq/tasks"
)

// said compares an exit code and what was printed.
func said(t *testing.T, what string, code, wantCode int, got, want string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("%s: exit code %d, want %d", what, code, wantCode)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const threeShops = "ChannelType,InstanceName,job_id\nVIBER,one,a\nVIBER,two,b\nWHATSAPP,three,c\n"

func TestTheSameFileAgainQueuesNothing(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("march.csv", threeShops)
	code, out, errs := d.run("enqueue", "march.csv")
	said(t, "first", code, 0, out+errs, `march.csv (ASCII, commas), batch march
  3  rows
  3  queued

To follow the batch:  camsq status march
Row by row:           camsq results march.csv
`)
	jobs := d.jobs()
	if len(jobs) != 3 || d.get("default", "b").Batch != "march" {
		t.Errorf("jobs: %q", jobs)
	}

	d.succeed("default", "a", "i-1")
	d.startCall("default", "b")
	code, out, errs = d.run("enqueue", "march.csv")
	said(t, "again", code, 0, out+errs, `march.csv (ASCII, commas), batch march
  3  rows
  1  already queued
  1  already being created
  1  already created

To follow the batch:  camsq status march
Row by row:           camsq results march.csv
`)
	if diff := cmp.Diff(jobs, d.jobs()); diff != "" {
		t.Errorf("jobs (-first +again):\n%s", diff)
	}
}

func TestTheBatchToFollowIsOneThatIsThere(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", threeShops)
	d.write("more.csv", threeShops+"VIBER,four,d\n")
	d.run("enqueue", "f.csv")
	hints := func(args ...string) string {
		_, out, _ := d.run(append([]string{"enqueue"}, args...)...)
		_, after, _ := strings.Cut(out, "\n\n")
		return after
	}
	said(t, "all are known", 0, 0, hints("--batch", "other", "f.csv"), `There is no batch other: its jobs were sent before, and keep the batch that they had
Row by row:           camsq results f.csv
`)
	said(t, "one is new", 0, 0, hints("--batch", "other", "more.csv"), `To follow the batch:  camsq status other
Row by row:           camsq results more.csv
`)
	said(t, "the batch is there by now", 0, 0, hints("--batch", "other", "f.csv"), `To follow the batch:  camsq status other
Row by row:           camsq results f.csv
`)
}

func TestBadRowsAreListedAndTheOthersAreQueued(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("tenants.csv", string(examples.Tenants))
	code, out, errs := d.run("enqueue", "tenants.csv")
	said(t, "output", code, 1, out, `tenants.csv (UTF-8, commas), batch tenants
  28  rows
  24  queued
   1  same as an earlier row (noted above)
   3  rejected: invalid (listed above)
  The rejected rows are in tenants.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue tenants.csv.rejected.csv

To follow the batch:  camsq status tenants
Row by row:           camsq results tenants.csv
`)
	said(t, "complaints", code, 1, errs, `tenants.csv:13: ChannelType: "SMS" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER
tenants.csv:19: ContactMail: is not a mail address
tenants.csv:23: note: same row as line 2; it is one job
tenants.csv:24: FacebookBmId: looks like a number that a spreadsheet has rounded; format the column as text
`)
	if n := len(d.jobs()); n != 24 {
		t.Errorf("%d jobs are queued, want 24", n)
	}
}

func TestAConflictNamesTheRowOrTheJobThatWasThereBefore(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("old.csv", "ChannelType,InstanceName,job_id\nVIBER,one,a\n")
	d.run("enqueue", "old.csv")
	d.write("new.csv", "ChannelType,InstanceName,job_id,CountryId\nVIBER,one,a,49\nVIBER,two,b,49\nVIBER,two,b,50\n")
	d.write("newer.csv", "ChannelType,InstanceName,job_id,CountryId\nVIBER,two,b,51\nVIBER,two,b,49\n")
	code, out, errs := d.run("enqueue", "new.csv", "newer.csv")
	said(t, "output", code, 1, out, `new.csv (ASCII, commas), batch new
  3  rows
  1  queued
  2  rejected: the job ID exists with another request (listed above)
  The rejected rows are in new.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue new.csv.rejected.csv

newer.csv (ASCII, commas), batch newer
  2  rows
  1  same as an earlier row (noted above)
  1  rejected: the job ID exists with another request (listed above)
  The rejected rows are in newer.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue newer.csv.rejected.csv

To follow the batch:  camsq status new
Row by row:           camsq results new.csv
Row by row:           camsq results newer.csv
`)
	said(t, "complaints", code, 1, errs, `new.csv:2: job default/a exists (queued) with another request; correct the row, or give it a job_id of its own
new.csv:4: same job as line 3 (default/b), but another request; correct one of the two, or give it a job_id of its own
newer.csv:2: same job as new.csv:3 (default/b), but another request; correct one of the two, or give it a job_id of its own
newer.csv:3: note: same row as new.csv:3; it is one job
`)
}

func TestWhatCannotBeTakenIsRefusedInOneLineAndNothingIsQueued(t *testing.T) {
	t.Parallel()
	const good = "ChannelType,InstanceName\nVIBER,one\n"
	for _, tt := range []struct {
		name, content string
		args          []string
		want          string
	}{
		{"a slip in --map", "Company,Type\nb,VIBER\n", []string{"--map", "Compny=InstanceName", "--map", "Type=ChannelType", "f.csv"}, `f.csv:1: the file has no column "Compny", which is to be InstanceName; did you mean "Company"? (--map Compny=InstanceName); nothing was queued`},
		{"--map of one column only", "Company;Type\nb;VIBER\n", []string{"--map", "Compny=InstanceName", "--delimiter", ",", "f.csv"}, `f.csv:1: the header is one column only; is a comma what stands between the columns?; nothing was queued`},
		{"unknown column", "ChannelType,InstanceName,Salesperson\nVIBER,a,b\n", nil, `f.csv:1: column 3 "Salesperson" is not known; remove it, or name it metadata.KEY to get it back with the result (or give it a known name: --map Salesperson=NAME; or leave out what is not known: --ignore-unknown); nothing was queued`},
		{"missing columns", "ContactMail\na@example.com\n", nil, "f.csv:1: the header has no column ChannelType and no column InstanceName; nothing was queued"},
		{"empty", "", nil, "f.csv:1: the file is empty; its first row must name the columns; nothing was queued"},
		{"header only", "ChannelType,InstanceName\n", nil, "f.csv:1: the file has a header but no rows; nothing was queued"},
		{"no such file", good, []string{"f.csv", "g.csv"}, "g.csv: there is no such file"},
		{"a folder", good, []string{"f.csv", "."}, ". is a folder; name the files in it"},
		{"the same file twice", good, []string{"f.csv", "f.csv"}, "f.csv is given twice"},
		{"unknown account", good, []string{"--account", "acme", "f.csv"}, "--account acme: there is no such account; there is default"},
		{"bad batch name", good, []string{"--batch", "a\tb", "f.csv"}, `f.csv: the batch name "a b" holds a control character; remove it; give another with --batch`},
		{"unknown priority", good, []string{"--priority", "urgent", "f.csv"}, "--priority urgent: it must be high or normal; leave it out for normal"},
		{"wait for nothing", good, []string{"--wait", "--dry-run", "f.csv"}, "--wait and --dry-run exclude each other: a dry run sends nothing to wait for"},
		{"no file", good, []string{}, "enqueue needs a file, or - for standard input; see camsq enqueue --help"},
		{"unknown flag", good, []string{"--dryrun", "f.csv"}, "unknown flag: --dryrun; see camsq enqueue --help"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newCLITest(t)
			d.write("f.csv", tt.content)
			args := tt.args
			if args == nil {
				args = []string{"f.csv"}
			}
			code, out, errs := d.run(append([]string{"enqueue"}, args...)...)
			said(t, "complaint", code, 2, errs, "camsq: "+tt.want+"\n")
			if out != "" || len(d.jobs()) != 0 {
				t.Errorf("printed %q, and queued %q", out, d.jobs())
			}
		})
	}
}

func TestARowOfAnAccountThatIsNotConfiguredIsABadRow(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	d.write("f.csv", "ChannelType,InstanceName,account,job_id\nVIBER,one,,a\nVIBER,two,us,b\nVIBER,three,default,c\n")
	code, _, errs := d.run("enqueue", "--account", "eu", "f.csv")
	said(t, "complaint", code, 1, errs, "f.csv:3: account: names no configured account\n")
	want := []string{"camsq:{provision:default}:job:c", "camsq:{provision:eu}:job:a"}
	if diff := cmp.Diff(want, d.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

func TestRowsOfHighPriorityGoFirst(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", "ChannelType,InstanceName,job_id,priority\nVIBER,one,a,\nVIBER,two,b,HIGH\nVIBER,three,c,normal\n")
	d.write("g.csv", "ChannelType,InstanceName,job_id,priority\nVIBER,four,d,\nVIBER,five,e,normal\n")
	for _, args := range [][]string{{"enqueue", "f.csv"}, {"enqueue", "--priority", "High", "g.csv"}} {
		if code, _, errs := d.run(args...); code != 0 {
			t.Fatalf("%q: exit %d: %s", args, code, errs)
		}
	}
	must := func() {
		t.Helper()
		want := map[string]tasks.Priority{"a": "", "b": "high", "c": "", "d": "high", "e": ""}
		got := map[string]tasks.Priority{}
		for id := range want {
			got[id] = d.get("default", id).Priority
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("priorities (-want +got):\n%s", diff)
		}
		for queue, want := range map[string][]string{tasks.ProvisionQueue("default"): {"e", "c", "a"}, tasks.HighQueue("default"): {"d", "b"}} {
			if got, _ := d.mini.List("asynq:{" + queue + "}:pending"); !slices.Equal(got, want) {
				t.Errorf("%s holds %q, want %q", queue, got, want)
			}
		}
	}
	must()

	// The same rows with another priority are the same jobs, and nothing is said.
	code, out, errs := d.run("enqueue", "--priority", "high", "f.csv")
	said(t, "again", code, 0, out+errs, `f.csv (ASCII, commas), batch f
  3  rows
  3  already queued

To follow the batch:  camsq status f
Row by row:           camsq results f.csv
`)
	must()
}

func TestAFileThatBreaksOffLeavesWhatWasReadAndSaysSo(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("one.csv", "ChannelType,InstanceName\nVIBER,one\n")
	d.write("two.csv", "ChannelType,InstanceName\nVIBER,two\nVIBER,\"three\nVIBER,four\n")
	d.write("three.csv", "ChannelType,InstanceName\nVIBER,four\n")
	code, out, errs := d.run("enqueue", "--wait", "one.csv", "two.csv", "three.csv")
	said(t, "complaint", code, 2, errs, "camsq: two.csv:3: the row has a stray quotation mark, or one that is not closed; from here to its end the file was not read; "+
		"what is counted above is queued; send the file again, no job is made twice; not read: three.csv\n")
	said(t, "output", code, 2, out, "one.csv (ASCII, commas), batch one\n  1  row\n  1  queued\n\ntwo.csv (ASCII, commas), batch two\n  1  row\n  1  queued\n\n")

	d.write("bad.csv", "Channel,Name\n")
	code, _, errs = d.run("enqueue", "three.csv", "bad.csv")
	said(t, "second", code, 2, errs, "camsq: bad.csv:1: the first row names no known column; it must be a header, such as ChannelType,InstanceName; the files before it are queued\n")
}

func TestStandardInputIsAFileToo(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	in := "\ufeff" + threeShops
	code, out, errs := d.runWith(t.Context(), iotest.OneByteReader(strings.NewReader(in)), "enqueue", "-", "--batch", "a b")
	said(t, "output", code, 0, out+errs, "stdin (UTF-8, commas), batch a b\n  3  rows\n  3  queued\n\nTo follow the batch:  camsq status 'a b'\n")
	if got := d.get("default", "a").Batch; got != "a b" {
		t.Errorf("the batch is %q", got)
	}
	_, out, _ = d.runWith(t.Context(), strings.NewReader(in), "enqueue", "-")
	if !strings.Contains(out, "stdin (UTF-8, commas), batch stdin\n") {
		t.Errorf("without --batch: %s", out)
	}
}

func TestWithoutRedisNothingBegins(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	addr := d.mini.Addr()
	d.mini.Close()
	d.write("f.csv", threeShops)
	for _, args := range [][]string{{"enqueue", "f.csv"}, {"status"}, {"results", "f.csv"}} {
		code, out, errs := d.run(args...)
		if code != 3 || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "camsq: Redis at "+addr+" does not answer; start it, or set CAMSQ_REDIS_URL: ") {
			t.Errorf("%s: exit %d, %q, %q", args, code, out, errs)
		}
	}
}

// many is a file of n rows.
func many(n int) string {
	var b strings.Builder
	b.WriteString("ChannelType,InstanceName,job_id\n")
	for i := range n {
		fmt.Fprintf(&b, "VIBER,shop %d,j%d\n", i, i)
	}
	return b.String()
}

// closeAfter closes Redis once it has so many jobs: whoever enqueues waits for more rows then.
func (d *cliTest) closeAfter(jobs int) func() {
	return func() {
		for len(d.jobs()) < jobs {
			runtime.Gosched()
		}
		d.mini.Close()
	}
}

// then is a reader that does something once what came before it has been taken.
type then func()

func (f then) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestARedisThatGoesAwayLosesNoRowAndTheFileCanBeSentAgain(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	addr, rows := d.mini.Addr(), many(1200)
	cut := strings.Index(rows, "VIBER,shop 800,")
	in := io.MultiReader(strings.NewReader(rows[:cut]), then(d.closeAfter(500)), strings.NewReader(rows[cut:]))
	code, out, errs := d.runWith(t.Context(), in, "enqueue", "-")
	// Redis may go away before it has told what it took: such rows count as open.
	open := regexp.MustCompile(`^camsq: Redis at ` + addr + ` did not take the rows from stdin:(\d+) on; (what is counted above is|no row is known to be) queued; send the file again, no job is made twice: `)
	m := open.FindStringSubmatch(errs)
	if m == nil {
		t.Fatalf("exit %d: %s", code, errs)
	}
	reported, err := strconv.Atoi(m[1])
	if reported -= 2; err != nil || code != 3 || reported%100 != 0 || reported > 800 { // steps of 100
		t.Errorf("exit %d after %d rows: %s", code, reported, errs)
	}
	want := ""
	if reported > 0 {
		want = fmt.Sprintf("stdin (ASCII, commas), batch stdin\n  %d  rows\n  %d  queued\n\n", reported, reported)
	}
	said(t, "output", code, 3, out, want)

	if err := d.mini.Restart(); err != nil {
		t.Fatal(err)
	}
	there := int64(len(d.jobs()))
	code, out, errs = d.runWith(t.Context(), strings.NewReader(rows), "enqueue", "-")
	said(t, "again", code, 0, out+errs, fmt.Sprintf("stdin (ASCII, commas), batch stdin\n  1,200  rows\n    %d  queued\n    %d  already queued\n\nTo follow the batch:  camsq status stdin\n", 1200-there, there))
	if n := len(d.jobs()); n != 1200 {
		t.Errorf("%d jobs, want 1200", n)
	}
}

func TestCtrlCStopsAReadThatWouldLastForEver(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	ctx, cancel := context.WithCancel(t.Context())
	silent, hold := io.Pipe()
	defer hold.Close()
	in := io.MultiReader(strings.NewReader(threeShops), readFunc(func(p []byte) (int, error) {
		cancel()
		return silent.Read(p)
	}))
	code, _, errs := d.runWith(ctx, in, "enqueue", "-")
	if code != 1 || !strings.HasPrefix(errs, "camsq: stopped at stdin") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestWaitTellsAtOnceHowFinishedJobsEnded(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", many(6)+"SMS,bad,x\n")
	d.run("enqueue", "f.csv")
	for i, callback := range []tasks.CallbackProgress{
		{State: tasks.CallbackDelivered}, {State: tasks.CallbackOwed}, {State: tasks.CallbackDead, Tries: 9},
	} {
		id := fmt.Sprintf("j%d", i)
		d.succeed("default", id, "i-"+id)
		d.setCallback("default", id, callback)
	}
	d.reject("default", "j3", "InvalidParameter", "the name\n\x1b[31mis taken")
	d.hold("default", "j4", "i-7", "i-8")
	d.transition("default", "j5", tasks.StepCancel, 0, func(r *tasks.Record) { r.Code = tasks.CodeCancelled })

	code, out, errs := d.run("enqueue", "--wait", "f.csv")
	said(t, "complaint", code, 1, errs, "f.csv:8: ChannelType: \"SMS\" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER\n")
	said(t, "output", code, 1, scrub(out), `f.csv (ASCII, commas), batch f
  7  rows
  1  already held for an operator to decide
  3  already created
  1  already failed; not tried again automatically (camsq retry)
  1  already cancelled; give such a row a new job_id to queue it again
  1  rejected: invalid (listed above)
  The rejected rows are in f.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue f.csv.rejected.csv

6 jobs, followed for N s
  1  held: an operator must decide (camsq held)
  3  created
  1  failed
  1  cancelled

Why jobs failed
  1  InvalidParameter

Without an instance
  f.csv:5: failed, job default/j3
      InvalidParameter: the name [31mis taken
  f.csv:6: held, job default/j4
      camsq.SeveralInstances: several instances of that name
  f.csv:7: cancelled, job default/j5
      camsq.Cancelled

Callbacks: 1 delivered, 1 still owed, 1 given up
`)

	d.write("g.csv", many(3))
	code, out, errs = d.run("enqueue", "--wait", "g.csv")
	said(t, "all well", code, 0, scrub(out)+errs, `g.csv (ASCII, commas), batch g
  3  rows
  3  already created

3 jobs, followed for N s
  3  created

Callbacks: 1 delivered, 1 still owed, 1 given up
`)
}

func TestWaitListsTheFirstFailuresAndSaysWhereTheRestIs(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f g.csv", many(30))
	d.run("enqueue", "f g.csv")
	for i := range 30 {
		d.reject("default", fmt.Sprintf("j%d", i), "No", "")
	}
	code, out, _ := d.run("enqueue", "--wait", "f g.csv")
	if code != 1 || strings.Count(out, ": failed, job") != 20 ||
		!strings.HasSuffix(out, "  and 10 more; all of them:\n    camsq results --only failed,held,cancelled 'f g.csv'\n") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

// trigger is a writer that acts when a text has been written to it.
type trigger struct {
	bytes.Buffer
	on  string
	act func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, _ := w.Buffer.Write(p)
	if w.act != nil && strings.Contains(w.String(), w.on) {
		act := w.act
		w.act = nil
		act()
	}
	return n, nil
}

func TestWaitEndsWhenTheLastJobHas(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).working()
	d.write("f.csv", threeShops)
	var out bytes.Buffer
	errs := &trigger{on: "0 of 3 ended", act: func() {
		d.succeed("default", "a", "i-1")
		d.succeed("default", "b", "i-2")
		d.succeed("default", "c", "i-3")
	}}
	code := d.runTo(t.Context(), strings.NewReader(""), &out, errs, "enqueue", "--wait", "f.csv")
	said(t, "output", code, 0, scrub(errs.String()+out.String()), `0 of 3 ended after N s: 3 queued; N s left at 4.95 a second
3 of 3 ended after N s: 3 created
f.csv (ASCII, commas), batch f
  3  rows
  3  queued

3 jobs, followed for N s
  3  created
`)
}

func TestCtrlCStopsTheWaitAndNotTheJobs(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", threeShops)
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	errs := &trigger{on: "0 of 3 ended", act: cancel}
	code := d.runTo(ctx, strings.NewReader(""), &out, errs, "enqueue", "--wait", "f.csv")
	said(t, "output", code, 1, scrub(out.String()), `f.csv (ASCII, commas), batch f
  3  rows
  3  queued

No longer followed, after N s: 3 jobs: 3 queued
The jobs go on. To follow them again, send the same file again.

To follow the batch:  camsq status f
Row by row:           camsq results f.csv
`)
	if strings.Contains(errs.String(), "camsq:") {
		t.Errorf("a stop that was asked for is told as an error: %s", errs)
	}
	if got := d.get("default", "a").State; got != tasks.StateQueued {
		t.Errorf("the job is %s", got)
	}
}

func TestABrokenReaderIsAFaultOfTheFile(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	in := io.MultiReader(strings.NewReader(threeShops), iotest.ErrReader(errors.New("disk is gone")))
	code, _, errs := d.runWith(t.Context(), in, "enqueue", "-")
	said(t, "complaint", code, 2, errs, "camsq: stdin:5: reading the file broke off: disk is gone; what is counted above is queued; send the file again, no job is made twice\n")
}
