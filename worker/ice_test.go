package worker_test

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ice is a hook that halts commands while it is frozen: those of a process that stands
// still, or all those of a Redis that does.
type ice struct {
	mu     sync.Mutex
	thawed chan struct{} // nil unless it is frozen
}

func (i *ice) freeze() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.thawed = make(chan struct{})
}

func (i *ice) thaw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.thawed != nil {
		close(i.thawed)
	}
	i.thawed = nil
}

func (i *ice) pass() {
	i.mu.Lock()
	thawed := i.thawed
	i.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
}

func (*ice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (i *ice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		i.pass()
		return next(ctx, cmd)
	}
}

func (i *ice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		i.pass()
		return next(ctx, cmds)
	}
}
