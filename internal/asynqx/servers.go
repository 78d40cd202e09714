package asynqx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
)

// NewServers adds to a Redis client the hooks that asynq's servers need, and returns a
// function that makes such servers on it. The client must serve nothing else. The
// servers take tasks as gate allows; log gets a warning while Redis lets no task be
// taken.
func NewServers(rdb redis.UniversalClient, gate Gate, log *slog.Logger) func(asynq.Config) *asynq.Server {
	rdb.AddHook(&PauseOnError{})
	rdb.AddHook(KeepBookkeeping{})
	rdb.AddHook(AtGate{Gate: gate})
	rdb.AddHook(&Takes{Log: log})
	rdb.AddHook(new(redisconn.EvalInstead))
	return func(c asynq.Config) *asynq.Server { return asynq.NewServerFromRedisClient(rdb, c) }
}

// serversAsked is how many servers [ServerRunning] asks for. A worker has at least one,
// and those that run have the highest scores.
const serversAsked = 8

// ServerRunning reports whether an asynq server is running, on any queue. A server's
// key expires seconds after the server's last heartbeat.
func ServerRunning(ctx context.Context, rdb redis.UniversalClient) (bool, error) {
	servers, err := rdb.ZRevRange(ctx, serversKey, 0, serversAsked-1).Result()
	if err != nil {
		return false, fmt.Errorf("asynqx: listing the servers: %w", err)
	}
	for _, server := range servers {
		n, err := rdb.Exists(ctx, server).Result()
		if err != nil {
			return false, fmt.Errorf("asynqx: reading a server: %w", err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}

// RemoveServers deletes what killed servers of a host have left. asynq would keep it
// for a while.
func RemoveServers(ctx context.Context, rdb redis.UniversalClient, host string, pids []int) error {
	var err error
	for _, list := range []string{serversKey, workersKey} {
		members, listErr := rdb.ZRange(ctx, list, 0, -1).Result()
		err = errors.Join(err, listErr)
		for _, m := range members {
			for _, pid := range pids {
				if strings.HasPrefix(m, fmt.Sprintf("%s:{%s:%d:", list, host, pid)) {
					err = errors.Join(err, rdb.ZRem(ctx, list, m).Err(), rdb.Unlink(ctx, m).Err())
				}
			}
		}
	}
	if err != nil {
		return fmt.Errorf("asynqx: removing killed servers: %w", err)
	}
	return nil
}
