package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/process"
)

// start runs a shell until the test ends.
func start(t *testing.T, script string) (c *process.Child, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	c, err := process.Start(exec.Command("sh", "-c", script), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c, log
}

func TestAChildSaysHowItEndedAndItsOutputIsKept(t *testing.T) {
	t.Parallel()
	c, log := start(t, "echo out; echo err >&2; exit 3")
	<-c.Exited()
	if err := c.Stop(time.Minute); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want its exit status", err)
	}
	if text, err := os.ReadFile(log); string(text) != "out\nerr\n" {
		t.Errorf("log: %q, %v", text, err)
	}
	c.Kill() // does no harm
}

func TestStopAsksAndThenKills(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done": "",
		"trap '' TERM; echo ready; while :; do sleep 0.01; done":       "had not ended",
	} {
		c, log := start(t, script)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for text := ""; text != "ready\n"; <-tick.C {
			b, err := os.ReadFile(log)
			if text = string(b); err != nil {
				t.Fatal(err)
			}
		}
		within := time.Minute
		if want != "" {
			within = 10 * time.Millisecond
		}
		err := c.Stop(within)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", script, err, want)
		}
		select {
		case <-c.Exited():
		default:
			t.Errorf("%s: it still runs", script)
		}
	}
}

func TestWhatCannotBeStartedIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := process.Start(exec.Command(filepath.Join(dir, "nothing")), filepath.Join(dir, "log")); err == nil {
		t.Error("no such program: want an error")
	}
	if _, err := process.Start(exec.Command("true"), filepath.Join(dir, "no", "log")); err == nil {
		t.Error("no place for the log: want an error")
	}
	_, err := process.StartRedis(process.RedisConfig{Bin: "false", Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "the process ended") {
		t.Errorf("a redis-server that ends at once: got %v", err)
	}
}
