package cli

import (
	"flag"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/tasks"
)

var update = flag.Bool("update", false, "write the output of the scripts in testdata/script anew")

// TestScripts runs testdata/script/*.txtar, which pin what camsq prints and the
// exit code it returns. Each script has a Redis and a folder of its own. After an
// intended change of the output: go test ./internal/cli -run Scripts -update
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			d := &scriptTest{cliTest: newCLITestIn(e.T().(testing.TB), e.WorkDir), now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
			d.mini.SetTime(d.now)
			e.Values[scriptTestKey{}] = d
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"camsq":    scriptCamsq,
			"exitcode": scriptExitCode,
			"setting":  scriptSetting,
			"job":      scriptJob,
			"account":  scriptAccount,
			"worker":   scriptWorker,
			"later":    scriptLater,
			"pending":  scriptPending,
		},
	})
}

type scriptTestKey struct{}

// scriptTest is the cliTest of a script. Its Redis has a clock that stands still, so
// that every run prints the same times.
type scriptTest struct {
	*cliTest
	now  time.Time
	code int // exit code of the last camsq
}

func scriptTestOf(ts *testscript.TestScript) *scriptTest {
	return ts.Value(scriptTestKey{}).(*scriptTest)
}

// scriptCamsq runs camsq: camsq [<FILE] ARGUMENT..., where FILE is its standard input.
func scriptCamsq(ts *testscript.TestScript, neg bool, args []string) {
	d := scriptTestOf(ts)
	var stdin io.Reader = strings.NewReader("")
	if len(args) > 0 && strings.HasPrefix(args[0], "<") {
		stdin, args = strings.NewReader(ts.ReadFile(args[0][1:])), args[1:]
	}
	d.code = d.runTo(d.t.Context(), stdin, ts.Stdout(), ts.Stderr(), args...)
	if neg == (d.code == exit.CodeOK) {
		ts.Fatalf("exit code %d", d.code)
	}
}

// scriptLater moves the clock of Redis, which stands still otherwise: later DURATION.
func scriptLater(ts *testscript.TestScript, _ bool, args []string) {
	d := scriptTestOf(ts)
	by, err := time.ParseDuration(strings.Join(args, " "))
	ts.Check(err)
	d.now = d.now.Add(by)
	d.mini.SetTime(d.now)
}

// scriptExitCode holds the exit code of the last camsq against a number: exitcode N.
func scriptExitCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(strings.Join(args, " "))
	ts.Check(err)
	if got := scriptTestOf(ts).code; neg || got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptSetting puts a variable into camsq's environment: setting NAME=VALUE.
func scriptSetting(ts *testscript.TestScript, _ bool, args []string) {
	d := scriptTestOf(ts)
	d.env = append(d.env, args...)
}

// scriptJob moves a job as a worker would: job STEP ACCOUNT/ID [ARGUMENT...]. The
// step "is" compares its state, and that of its callback.
func scriptJob(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("job STEP ACCOUNT/ID [ARGUMENT...]")
	}
	d := scriptTestOf(ts)
	account, id, _ := strings.Cut(args[1], "/")
	step, rest := args[0], append(args[2:], "", "", "")
	switch step {
	case "is":
		r := d.get(account, id)
		if got := []string{string(r.State), string(r.Callback.State)}; got[0] != rest[0] || got[1] != rest[1] {
			ts.Fatalf("%s: state and callback are %q", args[1], got)
		}
	case "begin":
		d.startCall(account, id)
	case "lose": // the answer of its call
		d.startCall(account, id)
		d.transition(account, id, tasks.StepAmbiguous, 0, nil)
	case "succeed":
		d.succeed(account, id, rest[0])
	case "reject":
		d.reject(account, id, rest[0], rest[1])
	case "hold":
		d.hold(account, id, args[2:]...)
	case "told":
		tries, err := strconv.Atoi(rest[1])
		ts.Check(err)
		d.setCallback(account, id, tasks.CallbackProgress{State: tasks.CallbackState(rest[0]), Tries: tries, Reason: rest[2]})
	default:
		ts.Fatalf("there is no step %q", step)
	}
}

// scriptAccount has the API refuse an account: account refused NAME.
func scriptAccount(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 || args[0] != "refused" {
		ts.Fatalf("account refused NAME")
	}
	scriptTestOf(ts).trip(args[1], time.Hour)
}

// scriptWorker registers a worker process that does nothing: worker runs.
func scriptWorker(ts *testscript.TestScript, _ bool, _ []string) { scriptTestOf(ts).working() }

// scriptPending counts the tasks that wait in a queue of asynq: pending QUEUE N.
func scriptPending(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("pending QUEUE N")
	}
	d := scriptTestOf(ts)
	if n := d.rdb.LLen(d.t.Context(), "asynq:{"+args[0]+"}:pending").Val(); strconv.FormatInt(n, 10) != args[1] {
		ts.Fatalf("%d tasks are pending in queue %s, want %s", n, args[0], args[1])
	}
}
