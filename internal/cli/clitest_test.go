package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/internal/workdir"
	"github.com/camsq/camsq/tasks"
)

// cliTest is what a test of the command has: an empty folder to work in, a Redis, and settings.
type cliTest struct {
	t      testing.TB
	dir    string
	mini   *miniredis.Miniredis
	rdb    redis.UniversalClient
	env    []string
	ledger *ledger.Ledger
}

func newCLITest(t *testing.T) *cliTest {
	t.Helper()
	return newCLITestIn(t, t.TempDir())
}

func newCLITestIn(t testing.TB, dir string) *cliTest {
	t.Helper()
	d := &cliTest{t: t, dir: dir, mini: miniredis.RunT(t)}
	url, key := "redis://"+d.mini.Addr(), enqueue.NewDataKey()
	d.env = []string{"CAMSQ_REDIS_URL=" + url, "CAMSQ_DATA_KEY=" + key}
	ring, err := seal.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	if d.rdb, err = redisconn.Open(url, redisconn.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.rdb.Close() })
	if d.ledger, err = ledger.New(ledger.Config{Redis: d.rdb, Keys: ring}); err != nil {
		t.Fatal(err)
	}
	return d
}

// twoAccounts gives the test the accounts default and eu.
func (d *cliTest) twoAccounts() *cliTest {
	d.write("camsq.yaml", "accounts:\n  - name: default\n  - name: eu\n    rate: 2\n")
	d.env = append(d.env, "CAMSQ_CONFIG=camsq.yaml")
	return d
}

// path is where a file of the folder is.
func (d *cliTest) path(name string) string { return filepath.Join(d.dir, name) }

func (d *cliTest) write(name, content string) {
	d.t.Helper()
	if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *cliTest) read(name string) string {
	d.t.Helper()
	raw, err := os.ReadFile(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(raw)
}

// run is camsq with nothing on its standard input.
func (d *cliTest) run(args ...string) (code int, out, errs string) {
	d.t.Helper()
	return d.runWith(d.t.Context(), strings.NewReader(""), args...)
}

func (d *cliTest) runWith(ctx context.Context, stdin io.Reader, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = d.runTo(ctx, stdin, &o, &e, args...)
	return code, o.String(), e.String()
}

// runTo is camsq in the test's folder.
func (d *cliTest) runTo(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args ...string) int {
	p := cmdutil.Factory{Env: d.env, Dir: workdir.Dir(d.dir), Stdin: stdin, Stdout: stdout, Stderr: stderr}
	return execute(ctx, &p, args)
}

func (d *cliTest) get(account, id string) tasks.Record {
	d.t.Helper()
	r, err := d.ledger.Get(d.t.Context(), tasks.Ref{Account: account, ID: id})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// transition takes a job a step further, with what change makes of its record.
func (d *cliTest) transition(account, id string, by tasks.Step, due time.Duration, change func(*tasks.Record)) {
	d.t.Helper()
	r := d.get(account, id)
	if change != nil {
		change(&r)
	}
	if _, err := d.ledger.Transition(d.t.Context(), r, by, due); err != nil {
		d.t.Fatal(err)
	}
}

// trip has the API refuse an account.
func (d *cliTest) trip(account string, next time.Duration) {
	d.t.Helper()
	t := tasks.Trip{Action: "CreateInstance", Code: "NoPermission", Message: "You are not authorized."}
	if err := d.ledger.Trip(d.t.Context(), tasks.ProbeID{Ref: tasks.Ref{Account: account, ID: "a"}}, t, next); err != nil {
		d.t.Fatal(err)
	}
}

func (d *cliTest) startCall(account, id string) {
	d.t.Helper()
	d.transition(account, id, tasks.StepBegin, 20*time.Second, func(r *tasks.Record) { r.Tries++ })
}

func (d *cliTest) succeed(account, id, instance string) {
	d.t.Helper()
	d.startCall(account, id)
	d.transition(account, id, tasks.StepSucceeded, 0, func(r *tasks.Record) {
		r.Instance = &tasks.EventInstance{InstanceID: instance}
		r.Code, r.RequestID = "OK", "R-"+id
	})
}

func (d *cliTest) reject(account, id, code, message string) {
	d.t.Helper()
	d.startCall(account, id)
	d.transition(account, id, tasks.StepRejected, 0, func(r *tasks.Record) { r.Code, r.Message, r.RequestID = code, message, "R-"+id })
}

func (d *cliTest) hold(account, id string, candidates ...string) {
	d.t.Helper()
	d.startCall(account, id)
	d.transition(account, id, tasks.StepAmbiguous, 0, nil)
	d.transition(account, id, tasks.StepSeveral, 0, func(r *tasks.Record) {
		r.Code, r.Message, r.Candidates = tasks.CodeSeveral, "several instances of that name", candidates
	})
}

// working has a worker run, as asynq tells of it.
func (d *cliTest) working() *cliTest {
	d.t.Helper()
	const server = "asynq:servers:{here:1:x}"
	for _, err := range []error{d.mini.Set(server, "x"), d.rdb.ZAdd(d.t.Context(), "asynq:servers", redis.Z{Member: server}).Err()} {
		if err != nil {
			d.t.Fatal(err)
		}
	}
	return d
}

// setCallback writes how far the callback of a job is.
func (d *cliTest) setCallback(account, id string, c tasks.CallbackProgress) {
	d.t.Helper()
	r := d.get(account, id)
	r.Callback = c
	if _, err := d.ledger.UpdateProgress(d.t.Context(), r, 0); err != nil {
		d.t.Fatal(err)
	}
}

// jobs are the keys of every record.
func (d *cliTest) jobs() []string {
	var out []string
	for _, key := range d.mini.Keys() {
		if strings.Contains(key, "}:job:") {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// files lists the folder.
func (d *cliTest) files() []string {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// scrub takes out of a text what another run would have different.
func scrub(text string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)`).ReplaceAllString(text, "TIME")
	return regexp.MustCompile(`(less than 1|\d+) s\b`).ReplaceAllString(text, "N s")
}
