package redisconn

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// EvalInstead is a go-redis hook for a Redis that takes EVAL and refuses EVALSHA: it
// answers NOSCRIPT in the place of the refusal, after which go-redis, asynq and camsq
// send the script itself. Once refused, EVALSHA is not tried again. It must be the
// innermost hook, so that the others see the same answers as ever.
//
// The zero value is ready. It must not be copied after it was added.
type EvalInstead struct{ refused atomic.Bool }

// DialHook passes through.
func (e *EvalInstead) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook turns the refusal of one command.
func (e *EvalInstead) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		var err error
		if !e.refused.Load() {
			if err = next(ctx, cmd); !refusesSHA(err) {
				return err
			}
			e.refused.Store(true)
		}
		cmd.SetErr(redis.ErrNoScript)
		return redis.ErrNoScript
	}
}

// ProcessPipelineHook turns the refusals of a pipeline. In a transaction such a command
// is refused before it runs, and the transaction with it; neither asynq nor camsq has
// scripts in one.
func (e *EvalInstead) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			if cmd.Name() == "evalsha" && refusesSHA(cmd.Err()) {
				cmd.SetErr(redis.ErrNoScript)
			}
		}
		if refusesSHA(err) {
			return redis.ErrNoScript
		}
		return err
	}
}

func refusesSHA(err error) bool {
	if AnswerOf(err) != Refusal {
		return false
	}
	m := commandNamed.FindStringSubmatch(err.Error())
	return m != nil && strings.EqualFold(m[1]+m[2], "evalsha")
}
