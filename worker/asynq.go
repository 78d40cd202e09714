package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/camsq/camsq/internal/backoff"
	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/tasks"
)

// callbackConcurrency is the most callbacks that a process delivers at once.
const callbackConcurrency = 64

// ShutdownTimeout is how long [Worker.Run] waits for running turns when it is asked to stop:
// longer than a call and its settling can take.
func (w *Worker) ShutdownTimeout() time.Duration { return w.cfg.CallTimeout + settleTime }

// Run works until ctx ends, then stops gracefully: it begins no new call, and settles the
// calls that are in flight. newServer returns an asynq server with the given settings on a
// Redis client with the hooks of asynqx, which keep asynq from spinning, from repeating a
// task that succeeded, and from polling a queue while [Worker.Gate] is closed.
//
// A lane gets a server when it has its first task. Until then it costs its part of a poll
// of all lanes, and later little more.
func (w *Worker) Run(ctx context.Context, newServer func(asynq.Config) *asynq.Server) error {
	if w.cfg.Watcher == nil || w.cfg.Leases == nil {
		return errors.New("worker: Config.Watcher and Config.Leases are required to run")
	}
	c := &serverGroup{worker: w, newServer: newServer, working: map[string]bool{}, leases: recovery.LeaseWatcher{
		Store: w.cfg.Leases, Every: w.cfg.PollEvery, Log: w.cfg.Log, OnGivenBack: w.countGivenBack,
	}}
	err := c.start(w.settings(tasks.QueueCallback, callbackConcurrency), w.callbackTask)
	if err == nil {
		w.cfg.Log.Info("working", "accounts", len(w.lanes))
		w.watch(ctx, c)
		w.cfg.Log.Info("stopping: no new call begins, calls in flight are settled", "at_most", w.ShutdownTimeout())
	}
	w.drain()
	c.stop()
	return err
}

// watch starts the servers of lanes that have tasks, and updates the gates, until ctx ends.
func (w *Worker) watch(ctx context.Context, c *serverGroup) {
	var listening sync.WaitGroup
	listening.Go(func() { w.cfg.Watcher.Listen(ctx, func(message string) { w.onMessage(c, message) }) })
	defer listening.Wait()
	defer c.leases.Wait()
	tick := time.NewTicker(w.cfg.PollEvery)
	defer tick.Stop()
	for seen := new(sight); ; {
		w.poll(ctx, c, seen)
		c.leases.Poll(ctx, w.queueGroups())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.kick:
		}
	}
}

// queueGroups returns the queues in which workers have taken tasks, one group for each
// account.
func (w *Worker) queueGroups() [][]string {
	groups := [][]string{{tasks.QueueCallback}}
	for _, account := range w.accounts {
		if w.lanes[account].hasTaken() {
			groups = append(groups, []string{tasks.ProvisionQueue(account), tasks.HighQueue(account)})
		}
	}
	return groups
}

func (w *Worker) countGivenBack(n int) {
	if w.cfg.Hooks.Swept != nil {
		w.cfg.Hooks.Swept("abandoned", n)
	}
}

func (w *Worker) poll(ctx context.Context, c *serverGroup, seen *sight) {
	asked, changes := time.Now(), make([]int, len(w.accounts))
	for i, account := range w.accounts {
		changes[i] = w.lanes[account].changeCount()
	}
	views := w.cfg.Watcher.Poll(ctx, w.accounts)
	if ctx.Err() != nil {
		return
	}
	seen.update(w, views)
	for i, account := range w.accounts {
		if views[i].Err != nil {
			continue
		}
		l, d := w.lanes[account], views[i].Depth
		l.update(asked, changes[i], views[i].Lane, d)
		if d.Normal+d.High+d.Active > 0 || !d.Due.IsZero() {
			c.ensureServer(l)
		}
	}
}

// onMessage handles a message of the wake channel. Most say that a queue has got a task, and
// need no poll.
func (w *Worker) onMessage(c *serverGroup, message string) {
	if l := w.queues[message]; l != nil {
		l.gate.Came(message)
		c.ensureServer(l)
		return
	}
	select {
	case w.kick <- struct{}{}:
	default: // a poll is due already
	}
}

// Gate returns the gate of the worker's queues, as asynqx.AtGate asks for it. The queue of
// callbacks has none: asynq polls it as it is.
func (w *Worker) Gate() Gate { return Gate{w.queues} }

// Gate decides when asynq may take tasks from the queues of a worker's accounts.
type Gate struct {
	lanes map[string]*lane // by queue
}

// Enter waits until a task of the queue may be taken, and reports whether it may.
func (g Gate) Enter(queue string) bool {
	if l := g.lanes[queue]; l != nil {
		return l.gate.Enter(queue)
	}
	return true
}

// Left records whether the queue had a task.
func (g Gate) Left(queue string, found bool) {
	if l := g.lanes[queue]; l != nil {
		l.gate.Left(queue, found)
	}
}

// Due reports whether a delayed task of the queue is due.
func (g Gate) Due(queue string) bool {
	if l := g.lanes[queue]; l != nil {
		return l.gate.Due(queue)
	}
	return true
}

// Came records that the queue has got a task.
func (g Gate) Came(queue string) {
	if l := g.lanes[queue]; l != nil {
		l.gate.Came(queue)
	}
}

// serverGroup holds the asynq servers of a running worker, and the turns that they run.
type serverGroup struct {
	worker    *Worker
	newServer func(asynq.Config) *asynq.Server
	turns     sync.WaitGroup
	leases    recovery.LeaseWatcher

	mu      sync.Mutex
	working map[string]bool // the accounts that have a server
	stopped bool
	servers []*asynq.Server
}

// ensureServer starts the server of a lane that has none.
func (c *serverGroup) ensureServer(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.working[l.Account] || c.stopped {
		return
	}
	for _, settings := range c.worker.laneSettings(l) {
		if err := c.startLocked(settings, c.worker.provisionTask(l)); err != nil {
			c.worker.cfg.Log.Error("cannot start the server of an account; the next poll tries again", "account", l.Account, "error", err)
			return
		}
	}
	c.working[l.Account] = true
}

func (c *serverGroup) start(settings asynq.Config, h asynq.HandlerFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked(settings, h)
}

func (c *serverGroup) startLocked(settings asynq.Config, h asynq.HandlerFunc) error {
	s := c.newServer(settings)
	err := s.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		c.turns.Add(1)
		defer c.turns.Done()
		queue, _ := asynq.GetQueueName(ctx)
		task, _ := asynq.GetTaskID(ctx)
		defer c.leases.Take(queue, task)()
		return h(ctx, t)
	}))
	if err != nil {
		return fmt.Errorf("worker: starting a server: %w", err)
	}
	c.servers = append(c.servers, s)
	return nil
}

// stop lets the running turns end. asynq does not wait for a handler that has exceeded its
// time. The process must: a turn that still settles makes a lookup unnecessary.
func (c *serverGroup) stop() {
	c.mu.Lock()
	c.stopped = true
	servers := c.servers
	c.mu.Unlock()
	var stopped sync.WaitGroup
	for _, s := range servers {
		stopped.Go(s.Shutdown)
	}
	stopped.Wait()
	done := make(chan struct{})
	go func() { c.turns.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(settleTime):
		c.worker.cfg.Log.Warn("some turns have not ended; lookups will find the outcome of their calls")
	}
}

// settings returns the settings of a server on which the promise depends. asynq's own retry
// budget, archive and failure count are not used: see package queue for the task's options.
func (w *Worker) settings(queue string, concurrency int) asynq.Config {
	return asynq.Config{
		Queues:                   map[string]int{queue: 1},
		Concurrency:              concurrency,
		TaskCheckInterval:        100 * time.Millisecond,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          w.ShutdownTimeout(),
		RetryDelayFunc:           w.retryDelay,
		IsFailure:                func(err error) bool { _, ok := errors.AsType[*SnoozeError](err); return !ok },
		ErrorHandler:             asynq.ErrorHandlerFunc(w.report),
		Logger:                   asynqLog{w.cfg.Log},
		LogLevel:                 asynq.WarnLevel,
	}
}

// highShare is how many of five tasks are of high priority while there are tasks of both:
// an import continues however many urgent jobs come.
const highShare = 4

// takenPerServer is how many tasks a second one asynq server takes reliably: one in each
// round trip, in sequence. mostServers is enough for what one process can do.
const (
	takenPerServer = 500
	mostServers    = 4
)

// laneSettings returns the settings of a lane's servers. All but very fast accounts have one.
// A server asks the gate before it polls a queue, so its interval can be short.
func (w *Worker) laneSettings(l *lane) []asynq.Config {
	n := min(max(int(math.Ceil(l.Rate/takenPerServer)), 1), mostServers, l.Concurrency)
	all := make([]asynq.Config, n)
	for i := range all {
		c := w.settings(tasks.ProvisionQueue(l.Account), (l.Concurrency+i)/n)
		c.Queues = map[string]int{tasks.ProvisionQueue(l.Account): 5 - highShare, tasks.HighQueue(l.Account): highShare}
		c.TaskCheckInterval, c.DelayedTaskCheckInterval = 2*time.Millisecond, 250*time.Millisecond
		c.JanitorInterval = time.Hour // asynq retains no completed tasks here
		all[i] = c
	}
	return all
}

// retryDelay returns when asynq brings a task back. asynq truncates the delay to whole
// seconds, so one is added: a task never comes back early.
func (w *Worker) retryDelay(n int, err error, _ *asynq.Task) time.Duration {
	if later, ok := errors.AsType[*SnoozeError](err); ok {
		return later.For + time.Second
	}
	return backoff.Delay(n+1, w.cfg.RetryMin, w.cfg.RetryMax) + time.Second
}

func (w *Worker) provisionTask(l *lane) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) error {
		entry := l.gate.Begin()
		defer entry.End()
		return w.run(ctx, t, tasks.TypeCreateInstance, l.Account+"/"+string(t.Payload()), func(ctx context.Context, ref tasks.Ref) error {
			return w.runUntilSettled(ctx, func() error { return w.process(ctx, ref, entry) })
		})
	}
}

// patience is the longest time that a job waits in its slot before its next turn: asynq
// brings no task back in less than a second.
const patience = time.Second

// runUntilSettled runs the turns of a job until one does not come back soon.
func (w *Worker) runUntilSettled(ctx context.Context, turn func() error) error {
	for {
		err := turn()
		later, ok := errors.AsType[*SnoozeError](err)
		if !ok || later.For > patience {
			return err
		}
		t := time.NewTimer(later.For)
		select {
		case <-t.C:
			continue
		case <-ctx.Done():
		case <-w.draining.Done():
		}
		t.Stop()
		return err
	}
}

func (w *Worker) callbackTask(ctx context.Context, t *asynq.Task) error {
	if t.Type() == tasks.TypeDeliverBatch {
		ref, err := tasks.ParseBatchRef(string(t.Payload()))
		return w.runTask(ctx, ref.String(), err, func(ctx context.Context) error { return w.DeliverBatch(ctx, ref) })
	}
	return w.run(ctx, t, tasks.TypeDeliverCallback, string(t.Payload()), w.Deliver)
}

// unreadablePause is how long a job waits if this process cannot read its record.
const unreadablePause = 5 * time.Minute

// run runs the task of a job.
func (w *Worker) run(ctx context.Context, t *asynq.Task, kind, name string, turn func(context.Context, tasks.Ref) error) error {
	if t.Type() != kind {
		return fmt.Errorf("worker: unexpected task type %.40q: %w", t.Type(), asynq.SkipRetry)
	}
	ref, err := tasks.ParseRef(name)
	return w.runTask(ctx, ref.String(), err, func(ctx context.Context) error { return turn(ctx, ref) })
}

// runTask runs a task that names a job or a batch. If its payload could not be parsed, asynq
// archives it: the archive holds only such tasks, of bugs or of other programs.
func (w *Worker) runTask(ctx context.Context, name string, unread error, turn func(context.Context) error) error {
	if unread != nil {
		// The error does not quote the payload: another program may have put personal data there.
		return fmt.Errorf("worker: the payload of a task does not name a job: %w", asynq.SkipRetry)
	}
	if w.draining.Err() != nil {
		return &SnoozeError{0, errDraining.Error()}
	}
	switch err := turn(ctx); {
	case errors.Is(err, tasks.ErrNotFound):
		return fmt.Errorf("worker: %w: %w", err, asynq.SkipRetry)
	case errors.Is(err, tasks.ErrUnreadable):
		w.cfg.Log.Error("cannot read the record of a job; it waits", "job", name, "error", err)
		return &SnoozeError{unreadablePause, "its record cannot be read by this version with these keys"}
	default:
		return err
	}
}

// report logs a task that failed. A task that comes back later has not failed.
func (w *Worker) report(ctx context.Context, t *asynq.Task, err error) {
	if _, ok := errors.AsType[*SnoozeError](err); ok {
		return
	}
	id, _ := asynq.GetTaskID(ctx)
	level := slog.LevelWarn
	if errors.Is(err, asynq.SkipRetry) {
		level = slog.LevelError
	}
	w.cfg.Log.LogAttrs(ctx, level, "a turn failed", slog.String("type", t.Type()), slog.String("task", id), slog.Any("error", err))
}

// asynqLog passes asynq's own messages to the worker's log.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
