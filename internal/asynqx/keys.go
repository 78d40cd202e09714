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
