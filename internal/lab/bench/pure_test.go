package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
)

func TestATableIsMarkdownAndReadableAsItIs(t *testing.T) {
	var got table
	got.add("a", "wall / ideal", "1 process, 10/s", "1.003, 0.00 %", "")
	got.add("b", "a|b – c", "x", "1", "2 (asynq)")
	want := `|     | measured     | setting         | camsq         | beside it |
| --- | ------------ | --------------- | ------------- | --------- |
| a   | wall / ideal | 1 process, 10/s | 1.003, 0.00 % |           |
| b   | a\|b – c     | x               | 1             | 2 (asynq) |
`
	if diff := cmp.Diff(want, got.markdown()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFiguresAreWritten(t *testing.T) {
	for got, want := range map[string]string{
		percent(0.0004):                      "0.04 %",
		percent(1):                           "100.00 %",
		ms(1234 * time.Microsecond):          "1.2 ms",
		seconds(1234 * time.Millisecond):     "1.23 s",
		count(7):                             "7",
		count(999):                           "999",
		count(1000):                          "1,000",
		count(1234567):                       "1,234,567",
		several(1, "process", "processes"):   "1 process",
		several(1000, "account", "accounts"): "1,000 accounts",
		round{12 * time.Second, 4, 1}.against(50, 5): "1.200, 25.00 %",
		round{}.against(1, 1):                        "0.000, 0.00 %",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAPercentileIsAValueThatWasMeasured(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, tt := range []struct {
		values []int
		p      float64
		want   int
	}{
		{nil, 50, 0}, {[]int{7}, 0, 7}, {[]int{7}, 100, 7}, {[]int{3, 1, 2}, 50, 2}, {[]int{4, 3, 1, 2}, 50, 2},
		{hundred, 50, 50}, {hundred, 90, 90}, {hundred, 99, 99}, {hundred, 99.5, 100}, {hundred, 100, 100}, {hundred, 1, 1},
	} {
		if got := percentile(tt.values, tt.p); got != tt.want {
			t.Errorf("p%v of %d values: got %d, want %d", tt.p, len(tt.values), got, tt.want)
		}
	}
	if hundred[0] != 100 {
		t.Error("it has sorted what it was given")
	}
	if got := median([]time.Duration{3, 1, 2}); got != 2 {
		t.Errorf("median: got %d", got)
	}
}

func TestACostsRowIsEachFiguresMedian(t *testing.T) {
	var got table
	got.addCosts("here", map[string][]cost{
		"camsq": {
			{jobs: 100, wall: time.Second, worker: 30 * time.Millisecond, redis: time.Millisecond, commands: 700},
			{jobs: 100, wall: 2 * time.Second, worker: 10 * time.Millisecond, redis: 3 * time.Millisecond, commands: 900},
			{jobs: 100, wall: 4 * time.Second, worker: 20 * time.Millisecond, redis: 2 * time.Millisecond, commands: 800},
		},
		"bare handler": {{jobs: 10, wall: time.Second, worker: time.Millisecond, redis: time.Millisecond, commands: 5}},
	})
	var cells []string
	for _, r := range got.rows {
		cells = append(cells, r.camsq+" | "+r.beside)
	}
	want := []string{
		"50 | 10 (a bare asynq handler)", "0.20 ms | 0.10 ms (a bare asynq handler)",
		"0.02 ms | 0.10 ms (a bare asynq handler)", "8.0 | 0.5 (a bare asynq handler)",
	}
	if diff := cmp.Diff(want, cells); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatTheSystemSaysIsRead(t *testing.T) {
	stat := "1234 (a (very) odd) name) S 1 2 3 0 -1 4194304 1 0 0 0 150 50 7 8 20 0 9 0 100 1 2"
	if got, err := parseStat(stat); err != nil || got != 2*time.Second {
		t.Errorf("stat: got %v, %v", got, err)
	}
	if got, err := parseStatus("Name:\tx\nVmHWM:\t  999 kB\nVmRSS:\t   2048 kB\nThreads:\t1\n", "VmRSS"); err != nil || got != 2<<20 {
		t.Errorf("status: got %v, %v", got, err)
	}
	info := "# CPU\r\nused_cpu_sys:0.250000\r\nused_cpu_user:1.500000\r\nused_cpu_sys_children:9\r\n\r\n# Commandstats\r\n" +
		"cmdstat_get:calls=12,usec=3,usec_per_call=0.25\r\ncmdstat_client|setinfo:calls=3,usec=1\r\n"
	got, err := parseInfo(info)
	if want := (redisUsage{1750 * time.Millisecond, 15}); err != nil || got != want {
		t.Errorf("INFO: got %+v, %v", got, err)
	}
	for name, err := range map[string]error{
		"no stat": second(parseStat("")), "a short stat": second(parseStat("1 (x) S 1")), "an odd stat": second(parseStat("1 (x) S 1 2 3 0 -1 4 1 0 0 0 a b")),
		"no status": second(parseStatus("Name: x\n", "VmRSS")), "an odd status": second(parseStatus("VmRSS: much kB\n", "VmRSS")),
		"no INFO": second(parseInfo("")), "odd INFO": second(parseInfo("used_cpu_user:x\n")), "odd calls": second(parseInfo("cmdstat_get:calls=x,usec=1\n")),
	} {
		if err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestItLooksMoreOftenAsTheEndComesNear(t *testing.T) {
	for _, tt := range []struct {
		all, done int
		since     time.Duration
		want      time.Duration
	}{
		{5000, 0, 0, 25 * time.Millisecond},
		{5000, 100, time.Second, time.Second},
		{5000, 4900, 49 * time.Second, 250 * time.Millisecond},
		{5000, 4999, 50 * time.Second, 5 * time.Millisecond},
	} {
		if got := nextLook(tt.all, tt.done, tt.since); got.Round(time.Millisecond) != tt.want {
			t.Errorf("%d of %d: got %v, want %v", tt.done, tt.all, got, tt.want)
		}
	}
}

func TestNoNameComesTwice(t *testing.T) {
	seen := map[string]bool{}
	for i := range 200_000 {
		name := instanceName(i)
		if seen[name] {
			t.Fatalf("%s is there twice", name)
		}
		seen[name] = true
	}
}

func TestThePeerIsAsItsPageSays(t *testing.T) {
	limited := newRateLimited()
	if isFailure(limited) || isFailure(fmt.Errorf("wrapped: %w", limited)) || !isFailure(errors.New("other")) {
		t.Error("only being limited is no failure")
	}
	for range 100 {
		if d := retryDelay(1, newRateLimited(), nil); d < 0 || d >= 10*time.Second {
			t.Fatalf("it comes back after %v", d)
		}
	}
	if d := retryDelay(1, errors.New("other"), asynq.NewTask(peerTask, nil)); d <= 0 {
		t.Errorf("another error: it comes back after %v", d)
	}
	// The page's own numbers: 10 a second, 30 at once.
	if got := strings.Join(quotaFlags(10, 1), " "); got != "-rate=10 -burst=30 -concurrency=32" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(quotaFlags(1000, 10), " "); got != "-rate=100 -burst=300 -concurrency=125" {
		t.Errorf("got %s", got)
	}
}

func TestTheCommandLineChoosesParts(t *testing.T) {
	for args, want := range map[string]string{
		"": "abcdefg", "-quick": "abcdefg", "-only a": "a", "-only e,b": "be", "-only c,,c": "c",
	} {
		o, err := parseOptions(strings.Fields(args), io.Discard)
		got := ""
		for _, p := range o.parts {
			got += p.name
		}
		if err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", args, got, err, want)
		}
	}
	for args, want := range map[string]string{"-only a,x": `"x"`, "a": "a:", "-fast": "-fast"} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error that names %s", args, err, want)
		}
	}
}
