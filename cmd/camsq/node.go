package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/redisconn"
)

// model reads where accounts, jobs and batches stand.
type model struct {
	config config
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	client *enqueue.Client
	queue  *queue.Client
	missed missing
}

// node holds a process's dependencies: configuration, Redis client, ledger and queue
// client.
type node struct {
	*model
	// use is what the process does with the records, so that it is not let in to those
	// whose format is not for it. The zero value reads.
	use ledger.Use
	// waiting is told while jobs that are put in wait for room in Redis. It may be nil.
	waiting func(used, max int64)
	// patience is how long a Redis that is not ready is waited for.
	patience time.Duration
}

// open reads the settings and makes a node. It does not talk to Redis.
func (p *program) open(cmd *cobra.Command) (*node, error) {
	c, err := p.load(cmd)
	if err != nil {
		return nil, err
	}
	return newNode(c)
}

// reached opens a node whose Redis answers, for a command that changes no job.
func (p *program) reached(cmd *cobra.Command) (*node, error) {
	return p.reachedFor(cmd, ledger.Reading)
}

// reachedFor opens one for a use.
func (p *program) reachedFor(cmd *cobra.Command, use ledger.Use) (*node, error) {
	n, err := p.open(cmd)
	if err != nil {
		return nil, err
	}
	n.use = use
	if err := n.reach(cmd.Context(), p.stderr); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func newNode(c config) (_ *node, err error) {
	_, ring, err := c.dataKeys()
	if err != nil {
		return nil, err
	}
	rdb, err := redisconn.Open(c.RedisURL, redisconn.Options{})
	if err != nil {
		return nil, usage("%w", err)
	}
	rdb.AddHook(new(redisconn.EvalInstead))
	n := &node{model: &model{config: c, rdb: rdb}, patience: readyPatience}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.ledger, err = ledger.New(ledger.Config{Redis: rdb, Keys: ring, Keep: c.Keep}); err != nil {
		return nil, usage("%w", err)
	}
	if n.queue, err = queue.New(rdb, n.ledger); err != nil {
		return nil, err
	}
	n.client, err = enqueue.NewOn(n.queue, enqueue.Config{Rules: c.rules(), Waiting: func(used, max int64) {
		if n.waiting != nil {
			n.waiting(used, max)
		}
	}})
	if err != nil {
		return nil, usage("%w", err)
	}
	return n, nil
}

func (n *node) close() { _ = n.rdb.Close() }

// checkFormat makes sure that the records are for this process. A worker notes its own
// format, which may be newer than what is in use.
func (n *node) checkFormat(ctx context.Context) error {
	check := n.ledger.CheckFormat
	if n.use == ledger.Working {
		check = n.ledger.UseFormat
	}
	err := check(ctx, n.use)
	if unfit, ok := errors.AsType[*ledger.FormatError](err); ok {
		return usage("Redis at %s: %s", n.config.redisHost(), strings.TrimPrefix(unfit.Error(), "ledger: "))
	}
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	return nil
}

func (n *node) checkKeys(ctx context.Context) error {
	err := n.ledger.CheckKeys(ctx)
	if wrong, ok := errors.AsType[*ledger.WrongKeyError](err); ok {
		return usage("CAMSQ_DATA_KEY: the jobs in Redis are sealed with key %v, and this process has %v; "+
			"give every producer and worker the same key (%s)", wrong.Want, wrong.Have, keySource(n.config))
	}
	if err != nil {
		return n.noAnswer(ctx, err)
	}
	return nil
}

func keySource(c config) string {
	if c.DataKeys != "" {
		return "this one is from CAMSQ_DATA_KEY"
	}
	path, _ := dataKeyFile()
	return fmt.Sprintf("this one is from %s, since CAMSQ_DATA_KEY is not set", path)
}

// noWorker reports that no worker is running. It reports false if it cannot ask.
func (n *model) noWorker(ctx context.Context) bool {
	running, err := asynqx.ServerRunning(ctx, n.rdb)
	return err == nil && !running
}
