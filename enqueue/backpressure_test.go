package enqueue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
)

// filled is a real Redis with a maxmemory of 32 MB, noeviction, and so much in it that
// the given share is in use.
func filled(t *testing.T, share float64) (*redistest.Server, *redis.Client) {
	t.Helper()
	const most = 32 << 20
	s := redistest.Start(t, "--maxmemory", "32mb", "--maxmemory-policy", "noeviction")
	c := s.Client()
	for i := 0; float64(usedMemory(t, c)) < share*most; i++ {
		// At the limit itself the last one may be refused; that is enough.
		if err := c.RPush(t.Context(), "ballast", strings.Repeat("x", 16<<10)).Err(); err != nil && !redis.IsOOMError(err) {
			t.Fatal(err)
		}
	}
	return s, c
}

func usedMemory(t *testing.T, c redis.UniversalClient) (n int64) {
	t.Helper()
	for line := range strings.Lines(c.Info(t.Context(), "memory").Val()) {
		if value, ok := strings.CutPrefix(line, "used_memory:"); ok {
			for _, digit := range strings.TrimSpace(value) {
				n = 10*n + int64(digit-'0')
			}
			return n
		}
	}
	t.Fatal("INFO tells no used_memory")
	return 0
}

// mustBeWhole makes sure that of the numbered jobs those are there which were reported,
// and nothing of any other.
func mustBeWhole(t *testing.T, c redis.UniversalClient, reported int) {
	t.Helper()
	if there := whole(t, c); there != reported {
		t.Errorf("%d jobs are there, want %d", there, reported)
	}
}

// whole makes sure that of each numbered job everything is there or nothing, whatever
// steps are under way just then, and returns how many there are.
func whole(t *testing.T, c redis.UniversalClient) int {
	t.Helper()
	// One script, since Redis at maxmemory refuses a transaction.
	keys := []string{"camsq:{" + queue + "}:job:*", keysOf(queue)("t:*"), keysOf(queue)("pending"), "camsq:{" + queue + "}:state:queued", "camsq:{" + queue + "}:count"}
	there, err := c.Eval(t.Context(), `return {
		#redis.call('KEYS', KEYS[1]), #redis.call('KEYS', KEYS[2]), redis.call('LLEN', KEYS[3]), redis.call('ZCARD', KEYS[4]),
		tonumber(redis.call('HGET', KEYS[5], 'queued') or 0)}`, keys).Int64Slice()
	if err != nil {
		t.Fatal(err)
	}
	n := int(there[0])
	if slices.ContainsFunc(there, func(m int64) bool { return m != there[0] }) {
		t.Errorf("%v records, tasks, pending, indexed and counted; want the same of each", there)
	}
	return n
}

func TestAnImportBlocksAboveTheHighWatermarkAndGoesOn(t *testing.T) {
	t.Parallel()
	_, c := filled(t, 0.59)
	const jobs = 5 * stepSize
	reported, waits := 0, 0
	client := newClientWith(t, enqueue.Config{Redis: c, OnBackpressure: func(used, max int64) {
		waits++
		if max != 32<<20 || float64(used) <= enqueue.DefaultHighWatermark*float64(max) || used >= max {
			t.Errorf("it waits at %d of %d bytes", used, max)
		}
		if n := whole(t, c); n != reported || n == jobs {
			t.Errorf("it waits with %d jobs there and %d reported", n, reported)
		}
		c.Del(t.Context(), "ballast")
	}})
	sum, err := client.CreateAll(t.Context(), numbered(jobs), func(enqueue.Result) { reported++ })
	if err != nil || sum != (enqueue.Summary{Queued: jobs}) {
		t.Errorf("%+v, %v", sum, err)
	}
	if waits == 0 {
		t.Error("it did not wait") // once or more often: a step that was refused before waits too
	}
	mustHoldOnce(t, c, jobs)
}

func TestAStepThatRedisHasNoMemoryForIsNotWrittenAndComesAgain(t *testing.T) {
	t.Parallel()
	_, c := filled(t, 0.96)
	const jobs = 10 * stepSize
	waits := 0
	client := newClientWith(t, enqueue.Config{Redis: c, HighWatermark: 1, OnBackpressure: func(used, max int64) {
		// Redis counts what its clients' buffers take just then, and may have less in use
		// when it is asked.
		if waits++; waits == 1 && (used < max-max/10 || max != 32<<20) {
			t.Errorf("it waits at %d of %d bytes", used, max)
		}
		if n := whole(t, c); n%stepSize != 0 || n == jobs {
			t.Errorf("it waits with %d jobs there", n)
		}
		c.ConfigSet(t.Context(), "maxmemory", "256mb")
	}})
	sum, err := client.CreateAll(t.Context(), numbered(jobs), nil)
	if err != nil || sum != (enqueue.Summary{Queued: jobs}) || waits == 0 {
		t.Errorf("%+v, %v after %d waits", sum, err, waits)
	}
	mustHoldOnce(t, c, jobs)
}

func TestAnImportBlocksOnlyOnARefusalWhileItMayNotReadRedissMemory(t *testing.T) {
	t.Parallel()
	server, admin := filled(t, 0.8)
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "producer", "reset", "on", ">secret", "~*", "allchannels", "+@all", "-info").Err(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "producer", Password: "secret"})
	defer c.Close()
	if err := c.Info(t.Context()).Err(); !redis.IsPermissionError(err) {
		t.Fatalf("INFO: %v: this cannot prove anything", err)
	}
	waits := 0
	client := newClientWith(t, enqueue.Config{Redis: c, OnBackpressure: func(used, max int64) {
		if waits++; used != 0 || max != 0 {
			t.Errorf("it knows %d and %d", used, max)
		}
		if n := whole(t, admin); n%stepSize != 0 {
			t.Errorf("it waits with %d jobs there", n)
		}
		admin.ConfigSet(t.Context(), "maxmemory", "256mb")
	}})
	if sum, err := client.CreateAll(t.Context(), numbered(2*stepSize), nil); err != nil || sum.Queued != 2*stepSize || waits != 0 {
		t.Errorf("above the high watermark: %+v, %v after %d waits", sum, err, waits)
	}
	const jobs = 30 * stepSize
	if sum, err := client.CreateAll(t.Context(), numbered(jobs), nil); err != nil || sum.Queued+sum.Known != jobs || waits == 0 {
		t.Errorf("above maxmemory: %+v, %v after %d waits", sum, err, waits)
	}
	mustHoldOnce(t, admin, jobs)
}

func TestExistingJobsNeedNoMemory(t *testing.T) {
	t.Parallel()
	_, c := filled(t, 0.1)
	waits := 0
	client := newClientWith(t, enqueue.Config{Redis: c, OnBackpressure: func(int64, int64) { waits++ }})
	const jobs = 3 * stepSize
	if _, err := client.CreateAll(t.Context(), numbered(jobs), nil); err != nil {
		t.Fatal(err)
	}
	c.ConfigSet(t.Context(), "maxmemory", "1mb")
	if sum, err := client.CreateAll(t.Context(), numbered(jobs), nil); err != nil || sum != (enqueue.Summary{Known: jobs}) || waits != 0 {
		t.Errorf("%+v, %v after %d waits; want all known", sum, err, waits)
	}
}

func TestASingleJobIsQueuedAboveTheHighWatermarkAndRefusedAtMaxmemory(t *testing.T) {
	t.Parallel()
	_, c := filled(t, 0.8)
	client := newClientWith(t, enqueue.Config{Redis: c, OnBackpressure: func(int64, int64) { t.Error("a single job waits") }})
	create(t, client, newJob("a"), enqueue.StatusQueued)
	c.ConfigSet(t.Context(), "maxmemory", "1mb")
	if _, err := client.Create(t.Context(), newJob("b")); !redis.IsOOMError(err) {
		t.Errorf("at maxmemory: %v; want Redis's own error", err)
	}
	mustBeWhole(t, c, 1)
}

func TestCancelingEndsTheWaitForMemory(t *testing.T) {
	t.Parallel()
	_, c := filled(t, 0.8)
	ctx, cancel := context.WithCancel(t.Context())
	waits := 0
	client := newClientWith(t, enqueue.Config{Redis: c, OnBackpressure: func(int64, int64) {
		waits++
		cancel()
	}})
	sum, err := client.CreateAll(ctx, numbered(10*stepSize), nil)
	if !errors.Is(err, context.Canceled) || sum != (enqueue.Summary{}) {
		t.Errorf("%+v, %v; want context.Canceled", sum, err)
	}
	if waits != 1 {
		t.Errorf("it went on to wait, %d times in all", waits)
	}
	mustBeWhole(t, c, 0)
}

func TestMemoryIsThatOfTheAccountsNodeInACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	waits := 0
	client := newClientWith(t, enqueue.Config{Redis: c, OnBackpressure: func(used, max int64) {
		if waits++; used <= 0 || max != 1<<20 {
			t.Errorf("it waits at %d of %d bytes", used, max)
		}
		c.ConfigSet(t.Context(), "maxmemory", "0")
	}})
	c.ConfigSet(t.Context(), "maxmemory", "1mb")
	if sum, err := client.CreateAll(t.Context(), numbered(stepSize), nil); err != nil || sum.Queued != stepSize || waits != 1 {
		t.Errorf("%+v, %v after %d waits", sum, err, waits)
	}
}

func TestSettingsOfAnImportThatCannotWorkAreRefused(t *testing.T) {
	_, c := redistest.Mini(t)
	for name, config := range map[string]enqueue.Config{
		"HighWatermark": {HighWatermark: 1.5}, "HighWatermark below": {HighWatermark: -0.1}, "RetryFor": {RetryFor: -time.Second},
	} {
		config.Redis, config.DataKeys = c, dataKey
		if _, err := enqueue.New(config); err == nil || !strings.Contains(err.Error(), "Config."+strings.Fields(name)[0]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
