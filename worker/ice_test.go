package worker_test

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// freezer is a hook that halts commands while it is frozen: those of a process that stands
// still, or all those of a Redis that does.
type freezer struct {
	mu     sync.Mutex
	thawed chan struct{} // nil unless it is frozen
}

func (i *freezer) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.thawed = make(chan struct{})
}

func (i *freezer) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.thawed != nil {
		close(i.thawed)
	}
	i.thawed = nil
}

func (i *freezer) pass() { i.waits(context.Background(), 1<<62) }

// waits says whether it has thawed within that time, and before ctx ended.
func (i *freezer) waits(ctx context.Context, most time.Duration) bool {
	i.mu.Lock()
	thawed := i.thawed
	i.mu.Unlock()
	if thawed == nil {
		return true
	}
	select {
	case <-thawed:
		return true
	case <-ctx.Done():
	case <-time.After(most):
	}
	return false
}

func (*freezer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (i *freezer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		i.pass()
		return next(ctx, cmd)
	}
}

func (i *freezer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		i.pass()
		return next(ctx, cmds)
	}
}
