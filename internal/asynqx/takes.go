package asynqx

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
)

// Takes is a go-redis hook that logs once when Redis refuses to let asynq take tasks, at
// maxmemory for instance, and once when it lets asynq take them again. Polls, which only
// read, succeed meanwhile and do not show it. Add it after [AtGate].
//
// Log is required. It must not be copied after it was added.
type Takes struct {
	Log *slog.Logger

	mu     sync.Mutex
	queues map[string]bool // those whose last take Redis refused
	since  time.Time
}

// DialHook does nothing.
func (t *Takes) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook does nothing: asynq takes tasks with single scripts.
func (t *Takes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook observes the results of takes.
func (t *Takes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if queue, kind := parseScript(cmd); kind == takes {
			t.record(queue, err)
		}
		return err
	}
}

func (t *Takes) record(queue string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch redisconn.AnswerOf(err) {
	case redisconn.NotReady, redisconn.Refusal:
		if len(t.queues) == 0 {
			t.queues, t.since = map[string]bool{}, time.Now()
			t.Log.Warn("no task can be taken: Redis "+redisconn.Told(err), "queue", queue, "do", redisconn.Advice(err))
		}
		t.queues[queue] = true
	case redisconn.Fine:
		if !t.queues[queue] {
			return
		}
		if delete(t.queues, queue); len(t.queues) == 0 {
			t.Log.Info("Redis lets tasks be taken again", "after", time.Since(t.since).Round(time.Millisecond))
		}
	case redisconn.Silence, redisconn.Strange: // polls report the first; the other may be NOSCRIPT
	}
}
