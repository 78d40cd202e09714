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
// A Redis that says that it is not ready yet is waited for; notice gets one line about that.
func (a *App) Ready(ctx context.Context, notice io.Writer) error {
	end, said := time.Now().Add(a.patience), false
	for {
		err := a.ping(ctx)
		if err == nil || redisconn.AnswerOf(err) != redisconn.NotReady || !time.Now().Before(end) {
			return err
		}
		if !said {
			said = true
			fmt.Fprintf(notice, "camsq: %v; waiting for %s at most\n", err, humanize.Duration(a.patience))
		}
		select {
		case <-ctx.Done():
			return a.RedisError(ctx, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// ping asks once.
func (a *App) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := redisconn.Ping(ctx, a.Redis); err != nil {
		return a.RedisError(ctx, err)
	}
	err := a.CheckFormat(ctx)
	if err == nil {
		err = a.CheckKeys(ctx)
	}
	if a.PartlyDown(ctx, err) {
		return nil // their part of the cluster is away; who seals asks for them again
	}
	return err
}
