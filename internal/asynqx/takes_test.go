package asynqx_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
)

func TestThatNoTaskCanBeTakenIsSaidOnceAndSoIsItsEnd(t *testing.T) {
	var log bytes.Buffer
	hook := &asynqx.Takes{Log: slog.New(slog.NewTextHandler(&log, nil))}
	take := func(queue string, err error) {
		cmd := redis.NewCmd(t.Context(), "evalsha", "sha", 4, "asynq:{"+queue+"}:pending", "asynq:{"+queue+"}:paused", "asynq:{"+queue+"}:active", "asynq:{"+queue+"}:lease")
		_ = hook.ProcessHook(func(context.Context, redis.Cmder) error { return err })(t.Context(), cmd)
	}
	full := reply("OOM command not allowed when used memory > 'maxmemory'.")
	for range 3 {
		take("a", full)
		take("b", full)
		take("a", redis.ErrNoScript)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "no task can be taken: Redis is full: OOM") {
		t.Errorf("said:\n%s", text)
	}
	take("a", nil)
	take("a", full)
	take("a", redis.Nil)
	if text := log.String(); strings.Count(text, "\n") != 1 {
		t.Errorf("said, while one queue is turned away:\n%s", text)
	}
	take("b", redis.Nil)
	take("b", nil)
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "Redis lets tasks be taken again") {
		t.Errorf("said:\n%s", text)
	}
}
