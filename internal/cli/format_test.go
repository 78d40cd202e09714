package cli

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// plantGolden puts golden records into Redis.
func (d *cliTest) plantGolden(text []byte) {
	d.t.Helper()
	var file struct {
		Records []struct {
			Name, Head, Priority, Progress string
			Sealed                         []byte
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		d.t.Fatal(err)
	}
	for _, r := range file.Records {
		key := ledger.JobKey(tasks.Ref{Account: "default", ID: r.Name})
		record := strings.Join([]string{r.Head, r.Priority, r.Progress, string(r.Sealed)}, "\n")
		if err := d.mini.Set(key, record); err != nil {
			d.t.Fatal(err)
		}
	}
}

// Each command of this version beside records of another: it ends with exit code 2
// and says what to do, and it changes nothing.
func TestCommandsAreKeptFromRecordsThatAreNotForThem(t *testing.T) {
	const at = "camsq: Redis at REDIS: "
	const (
		unnoted = at + "the jobs in this Redis were written by an earlier, unreleased camsq, whose records this one cannot read: let that camsq end them, then empty this database, or name another one\n"
		newer   = at + "a newer camsq writes records of format 3 into this Redis, and this one reads up to format 2: upgrade this process\n"
		older   = at + "this Redis holds records of format 1, and this camsq reads from format 2 on: let a version between the two end those jobs first\n"
		strange = at + "camsq:format in this Redis is no hash: something else has written it; name a database of camsq's own\n"
	)
	golden, err := os.ReadFile("../../internal/ledger/testdata/records.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "test-id")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "test-secret")
	commands := map[string][]string{
		"enqueue": {"enqueue", "f.csv"}, "dry run": {"enqueue", "--dry-run", "f.csv"}, "worker": {"worker"}, "status": {"status"},
		"status of a job": {"status", "queued"}, "results": {"results", "f.csv"}, "retry": {"retry", "--all"},
		"cancel": {"cancel", "queued"}, "failed": {"failed"},
	}
	for name, tt := range map[string]struct {
		plant func(*cliTest)
		says  string
		let   []string // the commands that are let in
	}{
		"records of version 1, from before formats": {func(d *cliTest) {
			d.mini.SAdd("camsq:data-keys", "0123abcd")
			d.plantGolden(golden)
		}, unnoted, nil},
		"an older format": {func(d *cliTest) { d.mini.HSet("camsq:format", "lowest", "1", "highest", "1") }, older, nil},
		"workers are one version ahead": {func(d *cliTest) {
			d.mini.HSet("camsq:format", "lowest", "2", "highest", "3")
		}, newer, []string{"enqueue", "dry run"}},
		"a newer format alone":  {func(d *cliTest) { d.mini.HSet("camsq:format", "lowest", "3", "highest", "3") }, newer, nil},
		"a key of another kind": {func(d *cliTest) { _ = d.mini.Set("camsq:format", "2") }, strange, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newCLITest(t).twoAccounts()
			d.write("f.csv", threeShops)
			d.env = append(d.env, "CAMSQ_LISTEN=127.0.0.1:0")
			tt.plant(d)
			before := d.mini.Dump()
			for _, command := range slices.Sorted(maps.Keys(commands)) {
				if slices.Contains(tt.let, command) {
					continue
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a worker that is let in ends only then
				code, out, errs := d.runWith(ctx, nil, commands[command]...)
				cancel()
				errs = strings.ReplaceAll(errs, d.mini.Addr(), "REDIS")
				if i := strings.Index(errs, "camsq: Redis"); i >= 0 { // a worker has said where it listens
					errs = errs[i:]
				}
				said(t, command, code, exit.CodeUsage, out+errs, tt.says)
			}
			if after := d.mini.Dump(); after != before {
				t.Errorf("Redis was\n%s\nand is\n%s", before, after)
			}
			for _, command := range tt.let {
				if code, out, errs := d.run(commands[command]...); code != 0 {
					t.Errorf("%s: exit code %d: %s%s", command, code, out, errs)
				}
			}
		})
	}
}

// Jobs that cannot be read are no other requests: the report does not lead to other
// job IDs, with which there would be second calls.
func TestAFileWhoseJobsCannotBeReadIsToBeSentAgainAsItIs(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.write("f.csv", threeShops)
	d.run("enqueue", "f.csv")
	for _, id := range []string{"a", "b"} {
		key := ledger.JobKey(tasks.Ref{Account: "default", ID: id})
		text, err := d.mini.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.mini.Set(key, map[string]string{"a": "1", "b": "3"}[id]+text[1:]); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := d.run("enqueue", "f.csv")
	said(t, "report", code, exit.CodeSomeFailed, errs+out, `f.csv:2: job default/a exists, and cannot be compared: ledger: job default/a: the job's record cannot be read: an older camsq wrote it, in format 1, and this one reads from format 2 on: let a camsq that reads it end the job
f.csv:3: job default/b exists, and cannot be compared: ledger: job default/b: the job's record cannot be read: a newer camsq wrote it, in format 3, and this one reads up to format 2: upgrade this process
f.csv (ASCII, commas), batch f
  3  rows
  1  already queued
  2  rejected: the job exists and cannot be read (listed above)
  Rows whose job cannot be read need no correction. Send them again, with the same job
  IDs, when a camsq runs here that can read the job, with the data key of that time.

To follow the batch:  camsq status f
Row by row:           camsq results f.csv
`)
	if files := d.files(); !slices.Equal(files, []string{"f.csv"}) {
		t.Errorf("files: %q", files)
	}
}

// check says of records what a worker would say.
func TestCheckFindsRecordsThatAreNotForThisVersion(t *testing.T) {
	t.Parallel()
	d := newCLITest(t)
	d.mini.HSet("camsq:format", "lowest", "3", "highest", "3")
	code, out, _ := d.run("check")
	if code != exit.CodeUsage || !strings.Contains(out, "FAIL  records ") || !strings.Contains(out, "upgrade this process") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
