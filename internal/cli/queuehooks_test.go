package cli

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/exit"
)

// watchedWorker runs the worker command on a Redis that answers asynq's scripts
// as answer says: it is given the number of keys and the first key, and returns
// an error's text or "".
func watchedWorker(t *testing.T, answer func(keys, first string) string) (mini *miniredis.Miniredis, env []string) {
	t.Helper()
	mini = miniredis.RunT(t)
	mini.Server().SetPreHook(func(c *miniserver.Peer, cmd string, args ...string) bool {
		if !strings.HasPrefix(strings.ToUpper(cmd), "EVAL") || len(args) < 3 || !strings.HasPrefix(args[2], "asynq:") {
			return false
		}
		reply := answer(args[1], args[2])
		if reply != "" {
			c.WriteError(reply)
		}
		return reply != ""
	})
	cloud := camstest.New(camstest.Config{})
	if err := cloud.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	env = []string{
		"CAMSQ_REDIS_URL=redis://" + mini.Addr(), "CAMSQ_DATA_KEY=" + enqueue.NewDataKey(),
		"CAMSQ_ENDPOINT=" + cloud.URL(), "CAMSQ_LISTEN=" + freeAddr(t),
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + camstest.KeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + camstest.KeySecret,
	}
	camsq(t, env, "worker")
	return mini, env
}

// Without the worker's hook asynq asks some thousand times a second.
func TestAWorkersQueueRestsWhileRedisRefuses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	watchedWorker(t, func(keys, first string) string {
		if keys == "4" && strings.HasSuffix(first, ":pending") {
			asked.Add(1)
			return "OOM command not allowed when used memory > 'maxmemory'."
		}
		return ""
	})
	eventually(t, "the worker asks for tasks", func() bool { return asked.Load() > 0 })
	began, before := time.Now(), asked.Load()
	time.Sleep(time.Second) // the measure, and on a slow machine a longer one
	if n, took := asked.Load()-before, time.Since(began); float64(n) > 60*took.Seconds() {
		t.Errorf("asynq asked %d times in %v, want some 10 a second for each queue", n, took)
	}
}

// Without the worker's hook the task stays with the worker until its lease ends,
// and then runs again.
func TestATaskThatEndedIsDoneThoughItsFirstDoneFailed(t *testing.T) {
	t.Parallel()
	var done, again atomic.Int64
	mini, env := watchedWorker(t, func(keys, first string) string {
		if keys == "8" && strings.HasPrefix(first, "asynq:{provision:default}:t:") {
			again.Add(1) // asynq's script that puts a task back, here after its lease has ended
		}
		if keys == "5" && strings.HasSuffix(first, "provision:default}:active") && done.Add(1) == 1 {
			return "ERR this reply is an accident"
		}
		return ""
	})
	file := strings.NewReader("ChannelType,InstanceName\nVIBER,one\n")
	if code := Run(t.Context(), []string{"enqueue", "-"}, env, file, io.Discard, io.Discard); code != exit.CodeOK {
		t.Fatalf("enqueue: exit code %d", code)
	}
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	defer rdb.Close()
	eventually(t, "the task ends", func() bool { return done.Load() > 0 })
	eventually(t, "the task is done with", func() bool {
		n, err := rdb.LLen(t.Context(), "asynq:{provision:default}:active").Result()
		return err == nil && n == 0
	})
	if again.Load() > 0 {
		t.Error("the task came back after its lease, want asynq's next try to say that it is done")
	}
}
