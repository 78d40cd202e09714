package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redistest"
)

// runProve runs the command in this process; its workers are the test binary.
func runProve(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := []string{runAsCamsq + "=1", "PATH=" + os.Getenv("PATH"), "CAMSQ_NO_SUCH_SETTING=is not passed on"}
	code = Run(t.Context(), append([]string{"prove"}, args...), env, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func needRedisServer(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is not on the PATH, and CI=true forbids to skip")
		}
		t.Skip("redis-server is not on the PATH")
	}
}

// cell returns the number in the line of the table that begins so.
func cell(t *testing.T, table, line string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^  ` + line + `.*?  +([0-9,]+)$`).FindStringSubmatch(table)
	if m == nil {
		t.Fatalf("the table has no line %q:\n%s", line, table)
	}
	return m[1]
}

// Workers and Redis are killed and connections cut, for real. The trial stops before the
// tasks of the killed workers are delivered again, so some jobs are still in flight.
func TestAProofWithKillsCreatesNothingTwiceAndLosesNothing(t *testing.T) {
	t.Parallel()
	needRedisServer(t)
	code, out, course := runProve(t, "--jobs", "150", "--kills", "3", "--stops", "0", "--stop-after", "22s", "--seed", "7")
	if code != exit.CodeOK {
		t.Fatalf("exit code %d\n%s\n%s", code, out, course)
	}
	for line, want := range map[string]string{
		"accepted": "150", "misreported": "0", "duplicates": "0", "lost": "0", "without a valid signature": "0", "with a changed body": "0",
		"workers killed": "3", "Redis killed": "1", "connections to Redis": "1", "connections to the API": "2",
	} {
		if got := cell(t, out, line); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	if cell(t, out, "created") == "0" || cell(t, out, "delivered") == "0" {
		t.Error("nothing was created or delivered: the trial proves nothing")
	}
	if !strings.Contains(course, "is killed (kill -9") || !strings.Contains(out, "with seed 7") {
		t.Error("neither the kills nor the seed are printed")
	}
	if t.Failed() {
		t.Logf("%s\n%s", out, course)
	}
}

// On the user's own Redis: what is not the proof's stays, and nothing else does.
func TestAProofOnTheUsersRedisLeavesItAsItWas(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	rdb := s.Client()
	if err := rdb.MSet(t.Context(), "mine", "1", "asynq:{mine}:pending", "2").Err(); err != nil {
		t.Fatal(err)
	}
	code, out, course := runProve(t, "--redis", s.URL(), "--jobs", "30", "--kills", "1", "--stops", "0", "--faults", "0", "--stop-after", "14s", "--json")
	var r struct {
		Proven   bool           `json:"proven"`
		Accepted int            `json:"accepted"`
		Injected map[string]int `json:"injected"`
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exit.CodeOK {
		t.Fatalf("exit code %d, %v\n%s\n%s", code, err, out, course)
	}
	if !r.Proven || r.Accepted != 30 || r.Injected["redis_restart"] != 0 || r.Injected["kill"] != 1 {
		t.Errorf("the result is %+v", r)
	}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	slices.Sort(keys)
	// asynq's own notes of living servers expire by themselves.
	keys = slices.DeleteFunc(keys, func(k string) bool {
		return strings.HasPrefix(k, "asynq:servers:{") || strings.HasPrefix(k, "asynq:workers:{")
	})
	if diff := cmp.Diff([]string{"asynq:{mine}:pending", "mine"}, keys); err != nil || diff != "" {
		t.Errorf("keys afterwards (-want +got):\n%s%v", diff, err)
	}
}

func TestProveRefusesWhatItMustNotTouch(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	if err := s.Client().SAdd(t.Context(), "camsq:data-keys", "somebody's").Err(); err != nil {
		t.Fatal(err)
	}
	other := redistest.Start(t)
	if err := other.Client().SAdd(t.Context(), "asynq:queues", "callback").Err(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a database with jobs", []string{"--redis", s.URL()}, exit.CodeUsage, "prove does not touch existing data"},
		{"another program's queue", []string{"--redis", other.URL()}, exit.CodeUsage, "prove does not touch existing data"},
		{"a cluster", []string{"--redis", "redis://a,b"}, exit.CodeUsage, "one server"},
		{"a Redis that is not there", []string{"--redis", "redis://127.0.0.1:1/0"}, exit.CodeUnreachable, "--redis"},
		{"a setting", []string{"--rate", "5"}, exit.CodeUsage, "prove does not use the setting --rate"},
		{"no job", []string{"--jobs", "0"}, exit.CodeUsage, "--jobs 0"},
		{"faults alone", []string{"--faults", "1"}, exit.CodeUsage, "--faults 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, errs := runProve(t, tt.args...)
			if code != tt.code || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit code %d, want %d; it says:\n%s", code, tt.code, errs)
			}
		})
	}
	if n, err := s.Client().DBSize(t.Context()).Result(); n != 1 || err != nil {
		t.Errorf("the refused database has %d keys, %v", n, err)
	}
}
