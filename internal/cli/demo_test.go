package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/camsq/camsq/internal/exit"
)

// screen is an output that can be looked at while it is written.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	// when is called once, as soon as the text contains what.
	what string
	when func()
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	if s.when != nil && strings.Contains(s.text.String(), s.what) {
		s.when()
		s.when = nil
	}
	return len(b), nil
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// strange is an environment that would stop or mislead every other command.
var strange = []string{
	"CAMSQ_REDIS_URL=redis://user:secret@redis.example.com:6379", "CAMSQ_NONSENSE=1", "CAMSQ_RATE=none",
	"ALIBABA_CLOUD_ACCESS_KEY_ID=real-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=real-secret",
}

// wantLines matches each pattern against whole lines.
func wantLines(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)^\s*` + p + `$`).MatchString(text) {
			t.Errorf("no line matches %q", p)
		}
	}
	if t.Failed() {
		t.Logf("the text:\n%s", text)
	}
}

func TestTheDemoKeepsItsPromisesWithTheExampleFile(t *testing.T) {
	t.Parallel()
	var out, errs screen
	code := Run(t.Context(), []string{"demo"}, strange, nil, &out, &errs)
	if code != 0 || errs.String() != "" {
		t.Errorf("exit code %d, stderr %q", code, errs.String())
	}
	text := out.String()
	wantLines(t, text,
		`28 rows: 24 queued, 1 duplicate, 3 rejected`,
		`examples/tenants.csv:13: ChannelType: .*`,
		`examples/tenants.csv:19: ContactMail: .*`,
		`examples/tenants.csv:23: the same job as line 2; it is queued once`,
		`examples/tenants.csv:24: FacebookBmId: .*`,
		`WHATSAPP lotus-tea-house: the answer was lost`,
		`VIBER nordlicht-apotheke: the call was throttled`,
		`calls       *2[6-9] CreateInstance: 23 succeeded, [1-4] throttled, 2 without a clear answer`,
		`WHATSAPP 杭州云帆商贸: the call never arrived`,
		`MESSENGER boulangerie-leveque: the receiver failed`,
		`.* s  lookup   found, and not there before the call: it is the job's\. No second call`,
		`.* s  call 1   400 Throttling\.User: the whole account waits 1\.0 s, as told`,
		`.* s  lookup   still not found after the settle window of 4 s: safe to call again`,
		`.* s  webhook  instance\.created, verified, the receiver answers 500`,
		`.* s  webhook  instance\.created, verified, answered 204: same id, same bytes`,
		`jobs       24 queued: 24 created, 0 failed, 0 unfinished`,
		`instances  24, of 24 names, never more than 1 of one \(counted by the API, not by the workers\)`,
		`webhooks   2[5-9] received, 2[5-9] verified, 24 distinct`,
		`camsq_calls_total\{account="default",code="OK",outcome="succeeded"\} 23`,
		`camsq_jobs_finished_total\{account="default",code="OK",state="created"\} 24`,
		`Every promise was kept, in .* s\.`,
	)
	if strings.Contains(text, "FAIL") {
		t.Error("a promise is marked as broken")
	}
	for _, private := range []string{"real-id", "real-secret", "redis.example.com", "ops@lotus-tea.example.com"} {
		if strings.Contains(text, private) {
			t.Errorf("the demo prints %s", private)
		}
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(line)); n > 100 && !strings.Contains(line, "tenants.csv:") {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
}

func TestTheDemoTakesAFileOfOnesOwn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "own.csv")
	// Two accounts, a name that is there twice, and a receiver that must not hear of it.
	rows := "channel_type,instance_name,job_id,account,callback_url\n" +
		"viber,one,,,\nviber,two,a,eu,https://hooks.example.com/x\nviber,two,b,eu,\n"
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs screen
	if code := Run(t.Context(), []string{"demo", file}, strange, nil, &out, &errs); code != 0 || errs.String() != "" {
		t.Errorf("exit code %d, stderr %q", code, errs.String())
	}
	wantLines(t, out.String(),
		`3 rows: 3 queued, 0 duplicates, 0 rejected`,
		`VIBER two: failed, tries: 0, camsq\.InstanceExists`,
		`VIBER one: the answer was lost`,
		`jobs       3 queued: 2 created, 1 failed, 0 unfinished`,
		`instances  2, of 2 names, never more than 1 of one .*`,
		`webhooks   3 received, 3 verified, 3 distinct`,
		`Every promise was kept, in .* s\.`,
	)
}

func TestTheDemoStopsWhenItIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := screen{what: "Working\n", when: cancel}
	var errs screen
	if code := Run(ctx, []string{"demo", "--verbose"}, nil, nil, &out, &errs); code != exit.CodeSomeFailed {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, out.String(), `Stopped before the end; .*`)
	if !strings.Contains(errs.String(), "worker=1") || !strings.Contains(errs.String(), "worker=2") {
		t.Errorf("--verbose shows no log of both workers: %q", errs.String())
	}
}

func TestTheDemoRefusesWhatItCannotRun(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.csv")
	bad := filepath.Join(t.TempDir(), "bad.csv")
	for file, content := range map[string]string{empty: "ChannelType,InstanceName\n", bad: "ChannelType,InstanceName\nSMS,shop\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a setting":      {[]string{"demo", "--redis-url", "redis://127.0.0.1"}, "--redis-url"},
		"no such file":   {[]string{"demo", empty + "x"}, "empty.csvx"},
		"no rows":        {[]string{"demo", empty}, "no rows"},
		"no row is good": {[]string{"demo", bad}, "bad.csv:2: ChannelType"},
	} {
		var out, errs screen
		code := Run(t.Context(), tt.args, nil, nil, &out, &errs)
		if got := errs.String(); code != exit.CodeUsage || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q", name, code, got)
		}
		if out.String() != "" {
			t.Errorf("%s: it began: %q", name, out.String())
		}
	}
}
