package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/camsq/camsq/tasks"
)

// callbackConcurrency is how many callbacks may be under way at once in a process.
const callbackConcurrency = 64

// ShutdownTimeout is how long [Worker.Run] gives the turns under way when it is
// told to stop: more than a call and its settling can take.
func (w *Worker) ShutdownTimeout() time.Duration { return w.CallTimeout + settleTime }

// Run works until ctx ends, then stops gracefully: no new call begins, calls
// under way end and are settled. newServer makes an asynq server with the given
// settings on a Redis client whose hooks keep asynq from spinning and from
// repeating a task that succeeded (package redisconn).
func (w *Worker) Run(ctx context.Context, newServer func(asynq.Config) *asynq.Server) error {
	var turns sync.WaitGroup
	servers := make([]*asynq.Server, 0, len(w.lanes)+1)
	start := func(queue string, concurrency int, h asynq.HandlerFunc) error {
		s := newServer(w.settings(queue, concurrency))
		if err := s.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			turns.Add(1)
			defer turns.Done()
			return h(ctx, t)
		})); err != nil {
			return fmt.Errorf("worker: starting queue %s: %w", queue, err)
		}
		servers = append(servers, s)
		return nil
	}
	err := start(tasks.QueueCallback, callbackConcurrency, w.callbackTask)
	for _, l := range w.lanes {
		if err == nil {
			err = start(tasks.ProvisionQueue(l.Account), l.Concurrency, w.provisionTask(l.Account))
		}
	}
	if err == nil {
		w.Log.Info("working", "accounts", len(w.lanes))
		<-ctx.Done()
		w.Log.Info("stopping: no new call begins, those under way end", "at_most", w.ShutdownTimeout())
	}

	w.drain()
	var stopped sync.WaitGroup
	for _, s := range servers {
		stopped.Go(s.Shutdown)
	}
	stopped.Wait()
	// asynq does not wait for a handler that it has given up on. The process must:
	// what such a turn still settles spares a recovery.
	done := make(chan struct{})
	go func() { turns.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(settleTime):
		w.Log.Warn("turns are still under way; their jobs will be recovered")
	}
	return err
}

// settings are those on which the promise depends. asynq's own budget, archive
// and failure count are out of the way: see package enqueue for the task's options.
func (w *Worker) settings(queue string, concurrency int) asynq.Config {
	return asynq.Config{
		Queues:                   map[string]int{queue: 1},
		Concurrency:              concurrency,
		TaskCheckInterval:        100 * time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          w.ShutdownTimeout(),
		RetryDelayFunc:           w.retryDelay,
		IsFailure:                func(err error) bool { _, ok := errors.AsType[*Later](err); return !ok },
		ErrorHandler:             asynq.ErrorHandlerFunc(w.report),
		Logger:                   asynqLog{w.Log},
		LogLevel:                 asynq.WarnLevel,
	}
}

// retryDelay tells asynq when to bring a task back. asynq cuts the time to whole
// seconds, so one is added: never early.
func (w *Worker) retryDelay(n int, err error, _ *asynq.Task) time.Duration {
	if later, ok := errors.AsType[*Later](err); ok {
		return later.After + time.Second
	}
	return backoffDelay(n+1, w.RetryMin, w.RetryMax) + time.Second
}

func (w *Worker) provisionTask(account string) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) error {
		return w.run(ctx, t, tasks.TypeCreateInstance, account+"/"+string(t.Payload()), w.Turn)
	}
}

func (w *Worker) callbackTask(ctx context.Context, t *asynq.Task) error {
	return w.run(ctx, t, tasks.TypeDeliverCallback, string(t.Payload()), w.Deliver)
}

// unreadablePause is how long a job waits whose record this process cannot read.
const unreadablePause = 5 * time.Minute

// run takes one task. One that names no job is parked in asynq's archive, which
// holds nothing else: it is for bugs, and for what is not ours.
func (w *Worker) run(ctx context.Context, t *asynq.Task, kind, name string, turn func(context.Context, tasks.Ref) error) error {
	if t.Type() != kind {
		return fmt.Errorf("worker: a task of type %.40q does not belong into this queue: %w", t.Type(), asynq.SkipRetry)
	}
	ref, err := tasks.ParseRef(name)
	if err != nil {
		// Not repeated: what somebody else has put there may be personal.
		return fmt.Errorf("worker: the payload of a task does not name a job: %w", asynq.SkipRetry)
	}
	if w.draining.Err() != nil {
		return &Later{0, errDraining.Error()}
	}
	switch err := turn(ctx, ref); {
	case errors.Is(err, tasks.ErrNotFound):
		return fmt.Errorf("worker: %w: %w", err, asynq.SkipRetry)
	case errors.Is(err, tasks.ErrUnreadable):
		w.Log.Error("a job cannot be read; it waits", "job", ref.String(), "error", err)
		return &Later{unreadablePause, "its record cannot be read by this version with these keys"}
	default:
		return err
	}
}

// report logs what asynq takes for a failure. Coming back later is none.
func (w *Worker) report(ctx context.Context, t *asynq.Task, err error) {
	if _, ok := errors.AsType[*Later](err); ok {
		return
	}
	id, _ := asynq.GetTaskID(ctx)
	level := slog.LevelWarn
	if errors.Is(err, asynq.SkipRetry) {
		level = slog.LevelError
	}
	w.Log.LogAttrs(ctx, level, "a turn was cut short", slog.String("type", t.Type()), slog.String("task", id), slog.Any("error", err))
}

// asynqLog passes asynq's own messages on.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
