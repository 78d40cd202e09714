package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
)

// readyPatience is how long a command waits for a Redis that answers and is not ready:
// more than a failover takes.
const readyPatience = 30 * time.Second

// reach makes sure that Redis is ready, that its records are of a format for this
// process, and that the process shares a data key with the others. It is what every command does first but the worker, which waits.
// A Redis that says that it is not ready yet is waited for; told hears so once.
func (n *node) reach(ctx context.Context, told io.Writer) error {
	end, said := time.Now().Add(n.patience), false
	for {
		err := n.answers(ctx)
		if err == nil || redisconn.AnswerOf(err) != redisconn.Passing || !time.Now().Before(end) {
			return err
		}
		if !said {
			said = true
			fmt.Fprintf(told, "camsq: %v; waiting for %s at most\n", err, span(n.patience))
		}
		select {
		case <-ctx.Done():
			return n.noAnswer(ctx, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// answers asks once.
func (n *node) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := redisconn.Ping(ctx, n.rdb); err != nil {
		return n.noAnswer(ctx, err)
	}
	err := n.checkFormat(ctx)
	if err == nil {
		err = n.checkKeys(ctx)
	}
	if n.partly(ctx, err) {
		return nil // their part of the cluster is away; who seals asks for them again
	}
	return err
}

// noAnswer is why Redis did not do what it was asked: it is away, it is not ready, it
// refuses, or the operator has stopped the command.
func (n *model) noAnswer(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return withCode(exitSomeFailed, errors.New("stopped"))
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e
	}
	told := fmt.Sprintf("Redis at %s %s", n.config.redisHost(), redisconn.Told(err))
	switch redisconn.AnswerOf(err) {
	case redisconn.Refusal:
		return worded(exitUsage, told+"; "+redisconn.Advice(err), err)
	case redisconn.Passing, redisconn.Strange:
		return worded(exitUnreachable, told, err)
	case redisconn.Silence, redisconn.Fine:
	}
	return unreachable("Redis at %s does not answer; start it, or set CAMSQ_REDIS_URL: %w", n.config.redisHost(), err)
}

// redisExit is the exit code of an error of Redis.
func redisExit(err error) int {
	if redisconn.AnswerOf(err) == redisconn.Refusal {
		return exitUsage
	}
	return exitUnreachable
}

// up says whether Redis is there: one account at least can be asked. Readiness and
// camsq_redis_up both mean this.
func (n *model) up(ctx context.Context) error {
	_, errs := n.ledger.Lanes(ctx, n.config.names())
	if errs == nil || slices.Contains(errs, nil) {
		return nil
	}
	return errs[0]
}

// partly says whether an error is that of a part of a cluster, beside which the others
// go on.
func (n *model) partly(ctx context.Context, err error) bool {
	if _, cluster := n.rdb.(*redis.ClusterClient); !cluster || ctx.Err() != nil {
		return false
	}
	answer := redisconn.AnswerOf(err)
	return answer == redisconn.Silence || answer == redisconn.Passing
}

// accounts are those that are configured, and those besides that have jobs in
// this Redis: their jobs wait, and the operator must be told so.
func (n *model) accounts(ctx context.Context) ([]string, error) {
	names := n.config.names()
	known, err := n.queue.Accounts(ctx)
	if n.partly(ctx, err) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range known {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// eachAccount does something for all accounts at once, and returns the error of each.
// What each of them waits for is its own part of Redis.
func eachAccount(ctx context.Context, names []string, do func(ctx context.Context, i int) error) []error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*redisconn.AskTime)
			defer cancel()
			errs[i] = do(ctx, i)
		})
	}
	all.Wait()
	return errs
}

// missing are the accounts that a command could not ask.
type missing struct {
	mu       sync.Mutex
	accounts []string
	err      error
}

// miss notes that an account could not be asked, and says whether the command may go
// on with the others.
func (n *model) miss(ctx context.Context, account string, err error) bool {
	if !n.partly(ctx, err) {
		return false
	}
	n.missed.mu.Lock()
	defer n.missed.mu.Unlock()
	if !slices.Contains(n.missed.accounts, account) {
		n.missed.accounts = append(n.missed.accounts, account)
	}
	n.missed.err = err
	return true
}

// missing is the error that accounts could not be asked, or nil.
func (n *model) missing(ctx context.Context) error {
	n.missed.mu.Lock()
	defer n.missed.mu.Unlock()
	if len(n.missed.accounts) == 0 {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return n.noAnswer(ctx, n.missed.err)
	}
	return worded(exitUnreachable, fmt.Sprintf("account %s could not be asked: its part of the cluster %s",
		strings.Join(n.missed.accounts, ", "), redisconn.Told(n.missed.err)), n.missed.err)
}
