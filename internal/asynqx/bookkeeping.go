package asynqx

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// bookkeepingTimeout bounds a write that has no deadline of its own left.
const bookkeepingTimeout = 5 * time.Second

// KeepBookkeeping is a go-redis hook that lets asynq finish what it writes about a task:
// the cancellation of its context does not end a script on the list of active tasks. The
// context's deadline holds; without one, or once it is over, it is 5 s. A context that
// ended by its deadline stays ended. All other commands pass unchanged.
//
// asynq needs it because, since v0.25.0, it repeats a failed Done, Retry or Archive with a
// context that it has cancelled itself (v0.26.0 processor.go:292-299 and similar), so that
// the repeat always fails and a task that succeeded runs again when its lease expires.
//
// A write may also come too late: other processes counted this one as dead and put its
// task back, and another one has or has finished it (package worker). Redis then replies
// NOT FOUND, and asynq would log an error and repeat the write. Nothing is wrong, so the
// hook reports success to asynq. If the other process still has the task, the write takes
// it away: Done, since the job has ended, and Retry into the tasks that come back. No task
// is lost either way.
type KeepBookkeeping struct{}

// DialHook does nothing.
func (KeepBookkeeping) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook does nothing: asynq writes about tasks with single commands.
func (KeepBookkeeping) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook protects asynq's writes about tasks from cancellation.
func (KeepBookkeeping) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !bookkeeping(cmd) {
			return next(ctx, cmd)
		}
		if ctx.Done() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			deadline, ok := ctx.Deadline()
			if !ok || !deadline.After(time.Now()) {
				deadline = time.Now().Add(bookkeepingTimeout)
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), deadline)
			defer cancel()
		}
		err := next(ctx, cmd)
		if redis.HasErrorPrefix(err, "NOT FOUND") {
			cmd.SetErr(nil)
			return nil
		}
		return err
	}
}

// bookkeeping reports whether cmd is a script with asynq's list of active tasks among
// its keys. That includes dequeueing. Enqueueing has no such key, and may be cancelled.
func bookkeeping(cmd redis.Cmder) bool {
	for _, key := range scriptKeys(cmd) {
		if strings.HasPrefix(key, "asynq:{") && strings.HasSuffix(key, "}:active") {
			return true
		}
	}
	return false
}

// scriptKeys returns the keys of a script; none of any other command.
func scriptKeys(cmd redis.Cmder) []string {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return nil
	}
	args := cmd.Args() // evalsha SHA NUMKEYS KEY… ARG…
	if len(args) < 4 {
		return nil
	}
	n, ok := args[2].(int)
	if !ok || n < 0 || n > len(args)-3 {
		return nil
	}
	keys := make([]string, n)
	for i, a := range args[3 : 3+n] {
		keys[i], _ = a.(string)
	}
	return keys
}
