package asynqx

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
)

const (
	pauseMin = 100 * time.Millisecond
	pauseMax = 2 * time.Second
)

// PauseOnError is a go-redis hook that sleeps before it returns an error that the next
// command would get too: a lost or refused connection, or a reply such as OOM, READONLY or
// LOADING. Successive failures double the pause from 100 ms to 2 s, with up to half of it
// off at random; a success resets it. The end of the context ends the pause. It never
// pauses for a missing key, NOSCRIPT or a script's own error.
//
// asynq needs it because its dequeue loop does not sleep after an error (v0.26.0
// processor.go:188-193) and takes most of a core while Redis is away.
//
// The zero value is ready. A client has one, which all its commands share; it
// must not be copied after it was added.
type PauseOnError struct {
	mu    sync.Mutex
	pause time.Duration // the last one; 0 while all is well
	grown time.Time     // when it last grew
}

// DialHook does nothing: go-redis holds a lock while it dials for pub/sub.
func (p *PauseOnError) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook pauses after one command.
func (p *PauseOnError) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() != "client" { // a connection's name, without which all goes on
			p.after(ctx, repeats(err))
		}
		return err
	}
}

// ProcessPipelineHook pauses once after a pipeline or a transaction.
func (p *PauseOnError) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		again := repeats(err)
		for _, cmd := range cmds {
			again = again || repeats(cmd.Err())
		}
		p.after(ctx, again)
		return err
	}
}

func (p *PauseOnError) after(ctx context.Context, again bool) {
	if ctx.Err() != nil {
		return // the caller canceled it: the error is not Redis's
	}
	d := p.next(again)
	if d == 0 {
		return
	}
	t := time.NewTimer(d/2 + rand.N(d/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// next returns the pause after a failure, or 0 after a success. Many commands
// fail together when Redis goes away; that is one failure, so the pause grows
// at most once in half its length.
func (p *PauseOnError) next(again bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !again {
		p.pause = 0
		return 0
	}
	now := time.Now()
	switch {
	case p.pause == 0:
		p.pause, p.grown = pauseMin, now
	case now.Sub(p.grown) >= p.pause/2:
		p.pause, p.grown = min(2*p.pause, pauseMax), now
	}
	return p.pause
}

// repeats reports whether the next command would get the error too.
func repeats(err error) bool {
	switch redisconn.AnswerOf(err) {
	case redisconn.Silence, redisconn.NotReady, redisconn.Refusal:
		return true
	case redisconn.Fine, redisconn.Strange:
	}
	return false
}
