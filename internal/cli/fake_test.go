package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/cli/fake"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/tasks"
)

// running is a fake in this process.
type running struct {
	t    *testing.T
	out  *screen
	env  map[string]string // what it said to paste
	stop func() int
}

func startFake(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	r := &running{t: t, env: map[string]string{}}
	// The blank line after the lines to paste is the last of the introduction.
	r.out = &screen{what: "=" + "\n\n", when: func() { close(ready) }}
	var errs screen
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, append([]string{"fake", "--addr", "127.0.0.1:0"}, args...), env, nil, r.out, &errs)
	}()
	r.stop = func() int {
		cancel()
		got := <-code
		code <- got
		return got
	}
	t.Cleanup(func() { r.stop() })
	select {
	case <-ready:
	case got := <-code:
		code <- got
		t.Fatalf("it ended with %d: %s", got, errs.String())
	}
	for line := range strings.Lines(r.out.String()) {
		if pair, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			name, value, _ := strings.Cut(pair, "=")
			r.env[name] = value
		}
	}
	return r
}

func (r *running) get(path string, v any) int {
	r.t.Helper()
	resp, err := http.Get(r.env["CAMSQ_ENDPOINT"] + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
			r.t.Fatal(err)
		}
	}
	return resp.StatusCode
}

func (r *running) client() *cams.Client {
	r.t.Helper()
	c, err := cams.New(cams.Config{Endpoint: r.env["CAMSQ_ENDPOINT"], Credentials: cams.StaticCredentials(cams.Credentials{
		AccessKeyID: r.env["ALIBABA_CLOUD_ACCESS_KEY_ID"], AccessKeySecret: r.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
	})})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.CloseIdleConnections)
	return c
}

func create(t *testing.T, c *cams.Client, name string) {
	t.Helper()
	if _, err := c.CreateInstance(t.Context(), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: name}); err != nil {
		t.Fatal(err)
	}
}

func TestTheFakeTakesCallsFromWhoeverPastesItsLines(t *testing.T) {
	t.Parallel()
	r := startFake(t, nil, "--seed", "7", "--receiver", "127.0.0.1:0")
	c := r.client()
	for _, name := range []string{"one", "two", "two"} {
		create(t, c, name)
	}
	_, _ = http.Get(r.env["CAMSQ_ENDPOINT"] + "/") // a client that does not sign

	var stats fake.Stats
	r.get("/_fake/stats", &stats)
	violations := stats.Violations
	stats.Violations = nil
	if d := stats.LastCreate.Sub(stats.FirstCreate); d <= 0 || time.Since(stats.LastCreate) > time.Minute {
		t.Errorf("the first create arrived at %v, the last at %v", stats.FirstCreate, stats.LastCreate)
	}
	stats.FirstCreate, stats.LastCreate = time.Time{}, time.Time{}
	want := fake.Stats{
		Seed: 7, Calls: map[string]int{"CreateInstance": 3, "ListInstance": 0, "QueryInstance": 0},
		ThrottledCalls: map[string]int{"CreateInstance": 0, "ListInstance": 0, "QueryInstance": 0},
		Instances:      3, Duplicates: map[string]int{"VIBER two": 2},
	}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Errorf("stats, -want +got:\n%s", diff)
	}
	if len(violations) != 1 {
		t.Errorf("violations: %q", violations)
	}
	var instances []map[string]string
	r.get("/_fake/instances", &instances)
	if len(instances) != 3 || instances[0]["instance_name"] != "one" || instances[0]["instance_id"] == "" || instances[0]["arrived"] == "" {
		t.Errorf("instances: %v", instances)
	}

	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantLines(t, r.out.String(),
		`A CAMS stand-in: http://127\.0\.0\.1:\d+   seed 7, .*`,
		`calls       3 CreateInstance, 0 ListInstance, 0 QueryInstance; 0 throttled`,
		`instances   3`, `duplicates  1 name`, `2 of VIBER two`, `violations  1`,
	)
}

func TestTheFakesReceiverVerifiesAndCounts(t *testing.T) {
	t.Parallel()
	r := startFake(t, nil, "--receiver", "127.0.0.1:0", "--receiver-fail", "1")
	keys, err := callback.ParseSecrets(r.env["CAMSQ_CALLBACK_SECRET"])
	if err != nil {
		t.Fatal(err)
	}
	sender, err := callback.NewSender(callback.Config{Keys: keys, AllowPrivate: r.env["CAMSQ_CALLBACK_ALLOW_PRIVATE"] == "true"})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	event := tasks.Event{Type: tasks.EventInstanceCreated, Timestamp: time.Now()}
	event.Data.Request = tasks.EventRequest{ChannelType: "VIBER", InstanceName: "shop"}
	body, err := tasks.EncodeEvent(event)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := sender.Send(t.Context(), r.env["CAMSQ_CALLBACK_URL"], tasks.EventID(body), body)
		if d.Status != http.StatusInternalServerError {
			t.Errorf("got %+v, want the 500 that --receiver-fail 1 asks for", d)
		}
	}
	forged, err := http.Post(r.env["CAMSQ_CALLBACK_URL"], "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	forged.Body.Close()
	if forged.StatusCode != http.StatusUnauthorized {
		t.Errorf("a webhook without a signature: got %d", forged.StatusCode)
	}

	var got callbacktest.Counts
	r.get("/_fake/webhooks", &got)
	want := callbacktest.Counts{Received: 3, Verified: 2, Refused: 1, Failed: 2, Distinct: 1, ByType: map[string]int{"instance.created": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.stop()
	wantLines(t, r.out.String(),
		`webhook  instance\.created  VIBER shop  .*  evt_\w+  answered 500`,
		`webhook  rejected: callback: the webhook is not signed.*`,
		`webhooks    3 received, 2 verified, 1 rejected, 2 failed on purpose, 1 distinct`,
	)
}

func TestTheFakeDoesNotPrintTheUsersKey(t *testing.T) {
	t.Parallel()
	env := []string{"ALIBABA_CLOUD_ACCESS_KEY_ID=mine", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=my-secret", "CAMSQ_CALLBACK_SECRET=" + callback.NewSecret()}
	ctx, cancel := context.WithCancel(t.Context())
	out := screen{what: "export CAMSQ_CALLBACK_ALLOW_PRIVATE", when: cancel}
	var errs screen
	if code := Run(ctx, []string{"fake", "--addr", "127.0.0.1:0", "--receiver", "127.0.0.1:0"}, env, nil, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, secret := range []string{"mine", "my-secret", "whsec_"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("it prints %s:\n%s", secret, out.String())
		}
	}
	wantLines(t, out.String(), `It accepts the key of your environment .*`)
}

func TestTheFakeHasAQuotaAndAKeyOfOnesOwn(t *testing.T) {
	t.Parallel()
	r := startFake(t, nil, "--quota", "1", "--key-id", "me", "--key-secret", "s3", "--receiver", "127.0.0.1:0")
	if r.env["ALIBABA_CLOUD_ACCESS_KEY_ID"] != "me" || r.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] != "s3" {
		t.Errorf("lines to paste: %v", r.env)
	}
	c := r.client()
	for range 5 { // in at most two seconds, so three are throttled
		_, _ = c.CreateInstance(t.Context(), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: "shop"})
	}
	var stats fake.Stats
	r.get("/_fake/stats", &stats)
	if stats.Throttled == 0 || stats.Throttled+stats.Instances != 5 || stats.ThrottledCalls["CreateInstance"] != stats.Throttled {
		t.Errorf("stats: %+v", stats)
	}
	if code := r.get("/_fake/webhooks", &callbacktest.Counts{}); code != http.StatusOK {
		t.Errorf("/_fake/webhooks: %d", code)
	}
}

func TestAnotherQuotaCanBeSetWhileTheFakeRuns(t *testing.T) {
	t.Parallel()
	r := startFake(t, nil, "--quota", "1", "--quota-model", "bucket", "--burst", "2", "--calm", "--no-retry-after", "--jitter", "1ms", "--latency", "1ms", "--receiver", "127.0.0.1:0")
	put := func(query string) (int, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.env["CAMSQ_ENDPOINT"]+"/_fake/quota"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	c := r.client()
	create(t, c, "shop")
	create(t, c, "shop")
	_, err := c.CreateInstance(t.Context(), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: "shop"})
	if e, ok := errors.AsType[*cams.Error](err); !ok || e.Code != "Throttling.User" || e.RetryAfter != 0 {
		t.Errorf("over the quota: got %v", err)
	}
	for _, query := range []string{"", "?creates=many", "?creates=-1"} {
		if status, body := put(query); status != http.StatusBadRequest || !strings.Contains(body, "whole number") {
			t.Errorf("%s: got %d %s", query, status, body)
		}
	}
	if status, body := put("?creates=0"); status != http.StatusOK || !strings.Contains(body, `"creates": 0`) {
		t.Errorf("got %d %s", status, body)
	}
	for range 5 {
		create(t, c, "shop")
	}
	put("?creates=33")
	var got fake.Quota
	r.get("/_fake/quota", &got)
	if diff := cmp.Diff(fake.Quota{Creates: 33, Model: camstest.QuotaBucket}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.stop()
	wantLines(t, r.out.String(), `A CAMS stand-in: .*quota 1 creates a second \(bucket\).*`)
}

func TestTheFakeRefusesInOneLine(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		env  []string
		want string
	}{
		"an open address":         {[]string{"--addr", ":8080"}, nil, "--public"},
		"an open receiver":        {[]string{"--addr", "127.0.0.1:0", "--receiver", "0.0.0.0:0"}, nil, "--public"},
		"no address":              {[]string{"--addr", "127.0.0.1"}, nil, "HOST:PORT"},
		"a share above 1":         {[]string{"--fault-rate", "2"}, nil, "--fault-rate"},
		"a negative quota":        {[]string{"--quota", "-1"}, nil, "--quota"},
		"no such quota model":     {[]string{"--quota-model", "leaky"}, nil, "--quota-model"},
		"a negative burst":        {[]string{"--quota-model", "bucket", "--burst", "-1"}, nil, "--burst"},
		"a burst of no bucket":    {[]string{"--burst", "5"}, nil, "--quota-model"},
		"a negative jitter":       {[]string{"--jitter", "-1s"}, nil, "--jitter"},
		"a negative latency":      {[]string{"--latency", "-1s"}, nil, "--latency"},
		"half a key":              {[]string{"--key-id", "x"}, nil, "--key-secret"},
		"half a key in the env":   {nil, []string{"ALIBABA_CLOUD_ACCESS_KEY_ID=x"}, "ALIBABA_CLOUD_ACCESS_KEY_SECRET"},
		"failures of no receiver": {[]string{"--receiver-fail", "0.5"}, nil, "--receiver"},
		"a bad secret":            {[]string{"--addr", "127.0.0.1:0", "--receiver", "127.0.0.1:0"}, []string{"CAMSQ_CALLBACK_SECRET=x"}, "CAMSQ_CALLBACK_SECRET"},
		"a setting":               {[]string{"--rate", "5"}, nil, "--rate"},
	} {
		var out, errs screen
		code := Run(t.Context(), append([]string{"fake"}, tt.args...), tt.env, nil, &out, &errs)
		if got := errs.String(); code != exit.CodeUsage || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q", name, code, got)
		}
	}
}
