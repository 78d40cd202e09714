package asynqx

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Gate decides when asynq looks into a queue. Its methods are called from
// asynq's own goroutines, one at a time for each server.
type Gate interface {
	// Enter is asked before asynq takes a task of the queue. It may block until there
	// may be one, and until one may be taken; false means that there is nothing to
	// take now. A server that is told to stop waits for Enter to return.
	Enter(queue string) bool
	// Left is told what came of it: whether there was a task.
	Left(queue string, found bool)
	// Due is asked before asynq looks for tasks of the queue that come back later.
	// It must not block; false means that none is due.
	Due(queue string) bool
	// Came is told when such tasks have come back into the queue, or when a look has
	// failed: there may be some.
	Came(queue string)
}

// AtGate is a go-redis hook that has asynq ask a [Gate] before it looks into a
// queue. asynq v0.26.0 knows no other way to learn of a task than to look again
// and again (processor.go:180-186, forwarder.go:70): often enough to be quick is
// a load on Redis for each queue, however empty. At a gate it looks when there is
// something to see, and finds it at once.
//
// A script whose shape asynq has changed passes unasked: then asynq polls.
type AtGate struct{ Gate Gate }

// oldLook is how long a look may have waited at the gate and still take a task. asynq dates
// the task's lease, of 30 s, when it begins to look (v0.26.0, rdb.go:253), and moves it on
// for the first time within 5 s of taking it. A lease that is over it never moves on, and
// what came of the turn it does not write down: the task would lie there as one of a worker
// that is gone, and be taken again.
const oldLook = 10 * time.Second

// DialHook passes through.
func (AtGate) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook passes through: asynq looks with single scripts.
func (AtGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook asks the gate, and answers in Redis's place if it says no.
func (g AtGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		queue, kind := parseScript(cmd)
		// An EVAL comes after an EVALSHA that has asked already.
		asks := cmd.Name() == "evalsha"
		switch kind {
		case takes:
			asked := time.Now()
			if asks && !g.Gate.Enter(queue) {
				cmd.SetErr(redis.Nil)
				return redis.Nil
			}
			if asks && time.Since(asked) > oldLook {
				g.Gate.Left(queue, false)
				g.Gate.Came(queue)
				cmd.SetErr(redis.Nil)
				return redis.Nil // asynq looks anew at once
			}
			err := next(ctx, cmd)
			if asks && redis.HasErrorPrefix(err, "NOSCRIPT") {
				return err // an EVAL follows
			}
			g.Gate.Left(queue, err == nil)
			if err != nil && !errors.Is(err, redis.Nil) {
				// Whether there is a task is not known. A gate that shuts now may stay
				// shut for as long as no other can be asked, so asynq looks again.
				g.Gate.Came(queue)
			}
			return err
		case forwards:
			answer, ok := cmd.(*redis.Cmd)
			if !ok {
				return next(ctx, cmd)
			}
			if asks && !g.Gate.Due(queue) {
				answer.SetVal(int64(0))
				return nil
			}
			err := next(ctx, cmd)
			if n, bad := answer.Int64(); bad == nil && n > 0 {
				g.Gate.Came(queue)
			}
			return err
		}
		return next(ctx, cmd)
	}
}

type scriptKind int

const (
	other    scriptKind = iota
	takes               // asynq's dequeueCmd: pending, paused, active, lease
	forwards            // asynq's forwardCmd: scheduled or retry, pending
)

// parseScript returns the queue that one of asynq's scripts reads, and why it does.
func parseScript(cmd redis.Cmder) (queue string, kind scriptKind) {
	keys := scriptKeys(cmd)
	switch {
	case len(keys) == 4 && strings.HasSuffix(keys[0], "}:pending") && strings.HasSuffix(keys[1], "}:paused"):
		kind = takes
	case len(keys) == 2 && strings.HasSuffix(keys[1], "}:pending") &&
		(strings.HasSuffix(keys[0], "}:retry") || strings.HasSuffix(keys[0], "}:scheduled")):
		kind = forwards
	default:
		return "", other
	}
	queue, ok := strings.CutPrefix(keys[0], "asynq:{")
	end := strings.LastIndex(queue, "}:")
	if !ok || end < 0 {
		return "", other
	}
	return queue[:end], kind
}
