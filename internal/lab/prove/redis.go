package prove

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/process"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

// trialRedis is the Redis of a trial.
type trialRedis struct {
	url  string
	dial func() (net.Conn, error) // for the proxies
	// through is the URL that leads through a proxy.
	through func(addr string) string
	// server is nil for the user's own Redis, which is never killed.
	server *process.Redis
}

// startRedis starts a redis-server that writes every change to the disk before it
// answers.
func startRedis(dir, logs string) (*trialRedis, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, exit.Unreachablef("prove: redis-server is not on the PATH; install it, or give --redis the URL of an empty database")
	}
	server, err := process.StartRedis(process.RedisConfig{
		Bin: bin, Dir: dir, Log: filepath.Join(logs, "redis.log"),
		Args: []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"},
	})
	if err != nil {
		return nil, exit.Unreachablef("prove: %w", err)
	}
	return &trialRedis{
		url:     "redis://" + server.Addr() + "/0",
		dial:    func() (net.Conn, error) { return net.DialTimeout("tcp", server.Addr(), 5*time.Second) },
		through: func(addr string) string { return "redis://" + addr + "/0" },
		server:  server,
	}, nil
}

// usersRedis is the Redis of a URL. It must be a single server, since a proxy reaches no more.
func usersRedis(raw string) (*trialRedis, error) {
	c, err := redisconn.Open(raw, redisconn.Options{})
	if err != nil {
		return nil, exit.Usagef("prove: --redis: %w", err)
	}
	_ = c.Close()
	single, ok := c.(*redis.Client)
	u, err := url.Parse(raw)
	if !ok || err != nil || u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, exit.Usagef("prove: --redis takes redis:// or rediss:// and one server, since the network to it is cut by a proxy")
	}
	o := single.Options()
	r := &trialRedis{url: raw, dial: func() (net.Conn, error) {
		d := &net.Dialer{Timeout: 5 * time.Second}
		if o.TLSConfig != nil {
			return tls.DialWithDialer(d, "tcp", o.Addr, o.TLSConfig)
		}
		return d.Dial("tcp", o.Addr)
	}}
	r.through = func(addr string) string {
		v := *u
		v.Scheme, v.Host = "redis", addr // the proxy speaks TLS, not the worker
		q := v.Query()
		q.Del("skip_verify")
		v.RawQuery = q.Encode()
		return v.String()
	}
	return r, nil
}

// claimRedis checks that the database holds no other jobs, and claims it. All accounts
// share one queue of callbacks, so a trial beside other jobs would send theirs.
func claimRedis(ctx context.Context, a *app.App) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := redisconn.Ping(ctx, a.Redis); err != nil {
		return exit.Unreachablef("prove: --redis: %w", err)
	}
	taken, err := a.Redis.Exists(ctx, "camsq:format").Result()
	if err == nil && taken == 0 {
		taken, err = a.Redis.Exists(ctx, "camsq:data-keys").Result()
	}
	if err != nil {
		return exit.Unreachablef("prove: --redis: %w", err)
	}
	queue, err := asynqx.HasQueue(ctx, a.Redis, tasks.QueueCallback)
	if err != nil {
		return exit.Unreachablef("prove: --redis: %w", err)
	}
	if taken == 0 && !queue {
		// From here on a process with another data key is refused.
		if err = a.Ledger.UseFormat(ctx, ledger.Producing); err != nil {
			return exit.Unreachablef("prove: --redis: %w", err)
		}
		err = a.Ledger.UseKeys(ctx)
		if err == nil {
			return nil
		}
	}
	if _, other := errors.AsType[*ledger.WrongKeyError](err); err != nil && !other {
		return exit.Unreachablef("prove: --redis: %w", err)
	}
	return exit.Usagef("prove: --redis: this database holds camsq's jobs, or another asynq queue named %s, and prove does not touch existing data; "+
		"name an empty database of the same server, such as redis://HOST:6379/9", tasks.QueueCallback)
}

// cleanRedis deletes what a trial has written into the user's database.
func cleanRedis(ctx context.Context, rdb redis.UniversalClient, account string, pids []int) error {
	queue := tasks.ProvisionQueue(account)
	// In this order: a key without a format would be taken for an earlier camsq's.
	err := errors.Join(rdb.Unlink(ctx, "camsq:data-keys").Err(), rdb.Unlink(ctx, "camsq:format").Err())
	keys := rdb.Scan(ctx, 0, "camsq:{"+queue+"}:*", 1000).Iterator()
	for keys.Next(ctx) {
		err = errors.Join(err, rdb.Unlink(ctx, keys.Val()).Err())
	}
	host, _ := os.Hostname()
	err = errors.Join(err, keys.Err(),
		asynqx.RemoveQueues(ctx, rdb, queue, tasks.HighQueue(account), tasks.QueueCallback),
		asynqx.RemoveServers(ctx, rdb, host, pids))
	if err != nil {
		return fmt.Errorf("prove: cleaning the database: %w", err)
	}
	return nil
}
