package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/redisconn"
)

// App holds a process's dependencies: configuration, Redis client, ledger and queue
// client.
type App struct {
	*inspect.Model
	// use is what the process does with the records, so that it is not let in to those
	// whose format is not for it. The zero value reads.
	Use ledger.Use
	// waiting is called while an import waits for memory in Redis. It may be nil.
	Waiting func(used, max int64)
	// patience is how long a Redis that is not ready is waited for.
	patience time.Duration
}

// Open composes an App from a configuration. It does not talk to Redis.
func Open(c config.Config) (_ *App, err error) {
	_, ring, err := c.Keyring()
	if err != nil {
		return nil, err
	}
	rdb, err := redisconn.Open(c.RedisURL, redisconn.Options{})
	if err != nil {
		return nil, exit.Usagef("%w", err)
	}
	rdb.AddHook(new(redisconn.EvalInstead))
	a := &App{Model: &inspect.Model{Config: c, Redis: rdb}, patience: readyPatience}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.Ledger, err = ledger.New(ledger.Config{Redis: rdb, Keys: ring, Keep: c.Keep}); err != nil {
		return nil, exit.Usagef("%w", err)
	}
	if a.Queue, err = queue.New(rdb, a.Ledger); err != nil {
		return nil, err
	}
	a.Client, err = enqueue.NewOn(a.Queue, enqueue.Config{Rules: c.Rules(), OnBackpressure: func(used, max int64) {
		if a.Waiting != nil {
			a.Waiting(used, max)
		}
	}})
	if err != nil {
		return nil, exit.Usagef("%w", err)
	}
	return a, nil
}

// Close closes the connection to Redis.
func (a *App) Close() { _ = a.Redis.Close() }

// CheckFormat makes sure that the records are for this process. A worker notes its own
// format, which may be newer than what is in use.
func (a *App) CheckFormat(ctx context.Context) error {
	check := a.Ledger.CheckFormat
	if a.Use == ledger.Working {
		check = a.Ledger.UseFormat
	}
	err := check(ctx, a.Use)
	if unfit, ok := errors.AsType[*ledger.FormatError](err); ok {
		return exit.Usagef("Redis at %s: %s", a.Config.RedisHost(), strings.TrimPrefix(unfit.Error(), "ledger: "))
	}
	if err != nil {
		return a.RedisError(ctx, err)
	}
	return nil
}

// CheckKeys makes sure that this process has the data key that sealed the jobs in Redis. A
// wrong key is an error with exit code 2.
func (a *App) CheckKeys(ctx context.Context) error {
	err := a.Ledger.CheckKeys(ctx)
	if wrong, ok := errors.AsType[*ledger.WrongKeyError](err); ok {
		return exit.Usagef("CAMSQ_DATA_KEY: the jobs in Redis are sealed with key %v, and this process has %v; "+
			"give every producer and worker the same key (%s)", wrong.Want, wrong.Have, keySource(a.Config))
	}
	if err != nil {
		return a.RedisError(ctx, err)
	}
	return nil
}

func keySource(c config.Config) string {
	if c.DataKeys != "" {
		return "this one is from CAMSQ_DATA_KEY"
	}
	path, _ := config.DataKeyFile()
	return fmt.Sprintf("this one is from %s, since CAMSQ_DATA_KEY is not set", path)
}
