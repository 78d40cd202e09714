package asynqx

import (
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Messages reads the messages of tasks as asynq does.
type Messages struct{ inspector *asynq.Inspector }

// NewMessages returns a reader of the messages in a Redis.
func NewMessages(rdb redis.UniversalClient) Messages {
	return Messages{asynq.NewInspectorFromRedisClient(rdb)}
}

// Unreadable reports whether asynq fails to decode a task's message (v0.26.0,
// internal/rdb/inspect.go). asynq never runs such a task.
func (m Messages) Unreadable(queue, id string) bool {
	_, err := m.inspector.GetTaskInfo(queue, id)
	return err != nil && strings.Contains(err.Error(), "could not decode task message")
}
