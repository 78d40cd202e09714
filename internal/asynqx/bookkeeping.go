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

// KeepBookkeeping is a go-redis hook that lets asynq finish what it writes
// about a task: a script on the list of active tasks is no longer ended by the
// cancellation of its context. It keeps the context's deadline; when that is
// over, or there is none, 5 s. A context that ended by its deadline stays
// ended, and so does every other command.
//
// It is there because asynq, since v0.25.0, repeats a failed Done, Retry or
// Archive with a context that it has cancelled itself (v0.26.0
// processor.go:292-299 and its like), so that the repeat cannot work and a
// task that succeeded runs again when its lease is over.
//
// A write may also come too late: when this process was taken for gone, its task was
// put back, and another has it or has done with it (package worker). Redis then answers
// NOT FOUND, and asynq would complain and repeat the write. There is nothing to repeat
// and nothing wrong, so asynq is told that it is done. If the other process still has
// the task, the write takes the task off its hands: Done, since the job has ended, and
// Retry into the tasks that come back. So nothing is lost either way.
type KeepBookkeeping struct{}

// DialHook passes through.
func (KeepBookkeeping) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook passes through: asynq keeps its books with single commands.
func (KeepBookkeeping) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook frees asynq's bookkeeping from cancellation.
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

// bookkeeping tells whether cmd is a script with asynq's list of active tasks
// among its keys. Enqueueing has not, and may be cancelled; dequeueing has.
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
