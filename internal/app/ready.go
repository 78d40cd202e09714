package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/redisconn"
)

// readyPatience is how long a command waits for a Redis that answers and is not ready:
// more than a failover takes.
const readyPatience = 30 * time.Second

// Ready makes sure that Redis is ready, that its records are of a format for this
// process, and that the process shares a data key with the others. It is what every command does first but the worker, which waits.
// A Redis that says that it is not ready yet is waited for; told hears so once.
func (n *App) Ready(ctx context.Context, told io.Writer) error {
	end, said := time.Now().Add(n.patience), false
	for {
		err := n.ping(ctx)
		if err == nil || redisconn.AnswerOf(err) != redisconn.Passing || !time.Now().Before(end) {
			return err
		}
		if !said {
			said = true
			fmt.Fprintf(told, "camsq: %v; waiting for %s at most\n", err, humanize.Duration(n.patience))
		}
		select {
		case <-ctx.Done():
			return n.RedisError(ctx, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// ping asks once.
func (n *App) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := redisconn.Ping(ctx, n.Redis); err != nil {
		return n.RedisError(ctx, err)
	}
	err := n.CheckFormat(ctx)
	if err == nil {
		err = n.CheckKeys(ctx)
	}
	if n.PartlyDown(ctx, err) {
		return nil // their part of the cluster is away; who seals asks for them again
	}
	return err
}
