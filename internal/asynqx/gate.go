package asynqx

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Gate decides when asynq polls a queue. asynq's own goroutines call it, one at a time
// for each server.
type Gate interface {
	// Enter is called before asynq takes a task of the queue. It may block until the
	// queue may have a task, and until a worker may take it; false means no task now. A
	// server that stops waits for Enter to return.
	Enter(queue string) bool
	// Left is called with the result: whether asynq got a task.
	Left(queue string, found bool)
	// Due is called before asynq polls for tasks of the queue that come back later. It
	// must not block; false means that none is due.
	Due(queue string) bool
	// Came is called when such tasks have come back into the queue, and when a poll has
	// failed: the queue may have some.
	Came(queue string)
}

// AtGate is a go-redis hook that asks a [Gate] before asynq polls a queue. asynq v0.26.0
// learns of a task only by polling (processor.go:180-186, forwarder.go:70): polling often
// enough to be quick loads Redis for each queue, however empty. With a gate asynq polls
// when a queue has a task, and finds it at once.
//
// If asynq changes the shape of its scripts, the hook passes them on, and asynq polls.
type AtGate struct{ Gate Gate }

// oldPoll is how long a poll may wait at the gate and still take a task. asynq computes the
// task's lease, of 30 s, when the poll begins (v0.26.0, rdb.go:253), and extends it for the
// first time within 5 s of taking the task. It never extends an expired lease, and does
// not record the task's result: the task would count as one of a dead worker, and run again.
const oldPoll = 10 * time.Second

// DialHook does nothing.
func (AtGate) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook does nothing: asynq polls with single scripts.
func (AtGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook asks the gate, and replies in place of Redis if the gate refuses.
func (g AtGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		queue, kind := parseScript(cmd)
		// An EVAL follows an EVALSHA that has asked already.
		asks := cmd.Name() == "evalsha"
		switch kind {
		case takes:
			asked := time.Now()
			if asks && !g.Gate.Enter(queue) {
				cmd.SetErr(redis.Nil)
				return redis.Nil
			}
			if asks && time.Since(asked) > oldPoll {
				g.Gate.Left(queue, false)
				g.Gate.Came(queue)
				cmd.SetErr(redis.Nil)
				return redis.Nil // asynq polls again at once
			}
			err := next(ctx, cmd)
			if asks && redis.HasErrorPrefix(err, "NOSCRIPT") {
				return err // an EVAL follows
			}
			g.Gate.Left(queue, err == nil)
			if err != nil && !errors.Is(err, redis.Nil) {
				// The queue may have a task. A gate that closes now could stay closed as
				// long as Redis does not answer, so asynq polls again.
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
