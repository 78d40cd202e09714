package examples_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// build builds an example as a user does, and returns the program's path.
func build(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build ./%s: %v\n%s", name, err, out)
	}
	return path
}

func TestProducer(t *testing.T) {
	t.Parallel()
	producer, redis, key := build(t, "producer"), miniredis.RunT(t), enqueue.NewDataKey()
	for _, tt := range []struct {
		name, args, key, want string
		fails                 bool
	}{
		{"a new job", "tenant-1 VIBER acme", key, "default/tenant-1 queued\n", false},
		{"the same job again", "tenant-1 VIBER acme", key, "default/tenant-1 known\n", false},
		{"another request under the same ID", "tenant-1 VIBER other", key, "producer: use another job ID: ", true},
		{"an invalid request", "tenant-2 FAX acme", key, "producer: correct the request: ", true},
		{"no data key", "tenant-3 VIBER acme", "", "producer: CAMSQ_DATA_KEY: ", true},
		{"no arguments", "", key, "producer: usage: ", true},
	} {
		cmd := exec.CommandContext(t.Context(), producer, strings.Fields(tt.args)...)
		cmd.Env = append(os.Environ(), "CAMSQ_REDIS_URL=redis://"+redis.Addr(), "CAMSQ_DATA_KEY="+tt.key)
		out, err := cmd.CombinedOutput()
		if (err != nil) != tt.fails || !strings.HasPrefix(string(out), tt.want) {
			t.Errorf("%s: %v, %q; want %q", tt.name, err, out, tt.want)
		}
	}
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	secret := callback.NewSecret()
	cmd := exec.CommandContext(t.Context(), build(t, "receiver"), "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "CAMSQ_CALLBACK_SECRET="+secret)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	next := func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Errorf("reading the receiver's output: %v", err)
		}
		return line
	}
	url := "http://" + strings.TrimSpace(strings.TrimPrefix(next(), "listening on ")) + "/"

	send := func(secret, jobID string) tasks.Delivery {
		t.Helper()
		keys, err := callback.ParseSecrets(secret)
		if err != nil {
			t.Fatal(err)
		}
		sender, err := callback.NewSender(callback.Config{Keys: keys, AllowPrivate: true})
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		body, err := json.Marshal(tasks.Event{Type: tasks.EventInstanceCreated, Timestamp: time.Now(), Data: tasks.EventData{
			JobID: jobID, Account: "default", Instance: &tasks.EventInstance{InstanceID: "cams-" + jobID},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return sender.Send(t.Context(), url, "evt_"+jobID, body)
	}
	for _, jobID := range []string{"a", "a", "b"} {
		if d := send(secret, jobID); d.Status != http.StatusNoContent {
			t.Errorf("event of job %s: HTTP %d, want 204", jobID, d.Status)
		}
	}
	if d := send(callback.NewSecret(), "forged"); d.Status != http.StatusBadRequest {
		t.Errorf("a forged event: HTTP %d, want 400", d.Status)
	}
	if got := next() + next(); got != "a has instance cams-a\nb has instance cams-b\n" {
		t.Errorf("handled %q, want each job once", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	rest, _ := io.ReadAll(lines)
	_ = cmd.Wait() // killed
	if len(rest) > 0 {
		t.Errorf("handled too: %q", rest)
	}
}
