package asynqx

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// The keys that belong to no queue (asynq v0.26.0, internal/base/base.go).
const (
	queuesKey  = "asynq:queues"  // a set of queue names
	serversKey = "asynq:servers" // the keys of servers, by when they expire
	workersKey = "asynq:workers"
)

// Key is a key of a queue: Key("q", "pending") is the list of its pending tasks.
func Key(queue, part string) string { return "asynq:{" + queue + "}:" + part }

// TaskKey is the key of a task's hash, which holds its message and its state.
func TaskKey(queue, id string) string { return Key(queue, "t:"+id) }

// lists are the parts of a queue's keys that may hold a task's ID, in the order that
// task.lua relies on.
var lists = []string{"pending", "active", "lease", "scheduled", "retry", "archived", "completed"}

// Lists returns the keys of a queue that may hold a task's ID: pending, active, lease,
// scheduled, retry, archived and completed.
func Lists(queue string) []string {
	keys := make([]string, len(lists))
	for i, list := range lists {
		keys[i] = Key(queue, list)
	}
	return keys
}

// AddQueues registers queues, as asynq's client does with each task.
func AddQueues(ctx context.Context, rdb redis.UniversalClient, queues ...string) error {
	names := make([]any, len(queues))
	for i, queue := range queues {
		names[i] = queue
	}
	if err := rdb.SAdd(ctx, queuesKey, names...).Err(); err != nil {
		return fmt.Errorf("asynqx: registering the queues %q: %w", queues, err)
	}
	return nil
}

// Queues returns the names of all queues, in no order.
func Queues(ctx context.Context, rdb redis.UniversalClient) ([]string, error) {
	queues, err := rdb.SMembers(ctx, queuesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("asynqx: listing the queues: %w", err)
	}
	return queues, nil
}

// HasQueue reports whether asynq knows a queue of the name.
func HasQueue(ctx context.Context, rdb redis.UniversalClient, queue string) (bool, error) {
	return rdb.SIsMember(ctx, queuesKey, queue).Result()
}

// RemoveQueues deletes queues with all their tasks. It scans the keys of one Redis
// server; it is not for a cluster.
func RemoveQueues(ctx context.Context, rdb redis.UniversalClient, queues ...string) error {
	var err error
	names := make([]any, len(queues))
	for i, queue := range queues {
		names[i] = queue
		keys := rdb.Scan(ctx, 0, Key(queue, "*"), 1000).Iterator()
		for keys.Next(ctx) {
			err = errors.Join(err, rdb.Unlink(ctx, keys.Val()).Err())
		}
		err = errors.Join(err, keys.Err())
	}
	if err = errors.Join(err, rdb.SRem(ctx, queuesKey, names...).Err()); err != nil {
		return fmt.Errorf("asynqx: removing the queues %q: %w", queues, err)
	}
	return nil
}
