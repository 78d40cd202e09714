package cli

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

func TestADryRunNeedsNoRedisAndMakesNothing(t *testing.T) {
	d := newCLITest(t).twoAccounts()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	addr := nobody(t)
	d.env = []string{"CAMSQ_CONFIG=camsq.yaml", "CAMSQ_REDIS_URL=redis://" + addr}
	d.write("f.csv", "ChannelType,InstanceName,account,CountryId\n"+
		"VIBER,one,,\nVIBER,one,,\nVIBER,one,,49\nSMS,two,,\nVIBER,three,eu,\nVIBER,four,eu,\nVIBER,five,eu,\n")
	code, out, errs := d.run("enqueue", "--dry-run", "f.csv")
	said(t, "output", code, 1, out, `f.csv (ASCII, commas), batch f
  7  rows
  4  valid
  1  same as an earlier row (noted above)
  1  rejected: the job ID exists with another request (listed above)
  1  rejected: invalid (listed above)
  Invalid rows by reason, and the first line of each:
    1  line 5: ChannelType: … is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER
  The rejected rows are in f.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue f.csv.rejected.csv

At 2 a second for account eu, 3 creates need at least 2 s; the other accounts are done before.
Nothing was sent.
Existing jobs were not looked up (none is created twice): there is no data key yet
`)
	said(t, "complaints", code, 1, errs, `f.csv:3: note: same row as line 2; it is one job
f.csv:4: same job as line 2 (default/job_sa7eztv4i4veup4cpa7br6ugfy), but another request; correct one of the two, or give it a job_id of its own
f.csv:5: ChannelType: "SMS" is not one of WHATSAPP, MESSENGER, INSTAGRAM, VIBER
`)
	d.env = append(d.env, "CAMSQ_DATA_KEY="+enqueue.NewDataKey())
	if _, out, _ := d.run("enqueue", "--dry-run", "f.csv"); !strings.Contains(out, "\nExisting jobs were not looked up (none is created twice): Redis at "+addr+" does not answer; ") {
		t.Errorf("without Redis:\n%s", out)
	}
	if made, _ := os.ReadDir(home); len(made) > 0 {
		t.Errorf("a dry run made %v", made)
	}

	d.write("broken.csv", "ChannelType\nVIBER\n")
	code, out, errs = d.run("enqueue", "--dry-run", "broken.csv")
	said(t, "broken", code, 2, out+errs, "camsq: broken.csv:1: the header has no column InstanceName\n")
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAnotherPriorityMakesNoConflictInADryRun(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", "ChannelType,InstanceName,priority\nVIBER,one,\nVIBER,one,high\nVIBER,two,soon\n")
	code, out, errs := d.run("enqueue", "--dry-run", "f.csv")
	if want := "f.csv:3: note: same row as line 2; it is one job\nf.csv:4: priority: must be high or normal; leave it out for normal\n"; errs != want || code != 1 {
		t.Errorf("exit %d, %q, want %q", code, errs, want)
	}
	if !strings.HasPrefix(out, "f.csv (ASCII, commas), batch f\n  3  rows\n  1  valid and new\n  1  same as an earlier row") {
		t.Errorf("printed:\n%s", out)
	}
}

func TestADryRunTellsWhatIsThereAlreadyAndWritesNothing(t *testing.T) {
	t.Parallel()
	d := newCLITest(t).twoAccounts()
	d.write("f.csv", "ChannelType,InstanceName,job_id,account\nVIBER,a,a,\nVIBER,b,b,\nVIBER,c,c,eu\nVIBER,d,d,\n")
	d.run("enqueue", "f.csv")
	d.succeed("default", "a", "i-a")
	d.reject("default", "b", "InvalidParameter", "no")
	record := ledger.JobKey(tasks.Ref{Account: "default", ID: "d"})
	d.rdb.Append(t.Context(), record, "x")
	before := d.mini.Dump()

	d.write("f.csv", "ChannelType,InstanceName,job_id,account\nVIBER,a,a,\nVIBER,b,b,\nVIBER,other,c,eu\nVIBER,d,d,\nVIBER,e,e,\nVIBER,a,a,\n")
	code, out, errs := d.run("enqueue", "--dry-run", "f.csv")
	said(t, "complaints", code, 1, errs, `f.csv:4: job eu/c exists (queued) with another request; correct the row, or give it a job_id of its own
f.csv:5: job default/d exists, and cannot be compared: ledger: job default/d: the job's record cannot be read: seal: the sealed data is damaged or belongs to another job
f.csv:7: note: same row as line 2; it is one job
`)
	said(t, "report", code, 1, out, `f.csv (ASCII, commas), batch f
  6  rows
  1  valid and new
  1  already created
  1  already failed; not tried again automatically (camsq retry)
  1  same as an earlier row (noted above)
  1  rejected: the job ID exists with another request (listed above)
  1  rejected: the job exists and cannot be read (listed above)
  The rejected rows are in f.csv.rejected.csv, with reasons.
  Correct them there and run: camsq enqueue f.csv.rejected.csv
  Rows whose job cannot be read need no correction. Send them again, with the same job
  IDs, when a camsq runs here that can read the job, with the data key of that time.

At 5 a second for account default, 1 create needs less than 1 s.
Nothing was sent.
`)
	if after := d.mini.Dump(); after != before {
		t.Errorf("Redis was\n%s\nand is\n%s", before, after)
	}

	d.env = append(slices.DeleteFunc(d.env, func(s string) bool { return strings.HasPrefix(s, "CAMSQ_DATA_KEY=") }), "CAMSQ_DATA_KEY="+enqueue.NewDataKey())
	code, out, errs = d.run("enqueue", "--dry-run", "f.csv")
	if code != 2 || out != "" || !strings.HasPrefix(errs, "camsq: CAMSQ_DATA_KEY: the jobs in Redis are sealed with key ") {
		t.Errorf("with another key: exit %d\n%s%s", code, out, errs)
	}
}

func TestADryRunThatLosesRedisSaysSo(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	addr, rows := d.mini.Addr(), many(1200)
	cut := strings.Index(rows, "VIBER,shop 800,")
	in := io.MultiReader(strings.NewReader(rows[:cut]), then(d.mini.Close), strings.NewReader(rows[cut:]))
	code, out, errs := d.runWith(t.Context(), in, "enqueue", "--dry-run", "-")
	if code != 3 || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "camsq: Redis at "+addr+" stopped answering while stdin was compared with what is there; nothing was sent: ") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
