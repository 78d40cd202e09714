package recovery

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// deadAfter is how long a lease may not move until its worker counts as dead: killed,
// frozen, or cut off from Redis. A live worker extends its leases in each round, once a
// second, so five extensions are missing; asynq's own heartbeat comes every 5 s
// (v0.26.0, server.go). The half second keeps the limit between two rounds: a round that
// comes a little early would delay it by a whole one.
const deadAfter = 5500 * time.Millisecond

// leaseTime is asynq's LeaseDuration (v0.26.0, internal/rdb).
const leaseTime = 30 * time.Second

// LeaseStore reads and moves the leases of tasks that workers have taken.
type LeaseStore interface {
	// Leases returns the taken tasks of each queue, each with the end of its lease in
	// seconds, as asynq keeps it. The queues are those of one account.
	Leases(ctx context.Context, queues ...string) ([]map[string]int64, error)
	// Extend makes the leases of those tasks of a queue end d from now, by the clock of
	// this process as asynq does. It leaves out a task that has no lease any more.
	Extend(ctx context.Context, queue string, tasks []string, d time.Duration) error
	// GiveBack puts those tasks back, as the next to be taken, whose lease still ends
	// where leases says, and returns how many it put back.
	GiveBack(ctx context.Context, queue string, leases map[string]int64) (int, error)
}

// LeaseWatcher finds the tasks of dead workers and puts them back into their queues, in
// every process: there is no lock that must outlive its holder, and of two processes that
// put one task back the second finds another lease. asynq does so too, a minute or two
// later, since it compares the clocks of processes and allows for their differences. Here
// each process measures for itself how long a lease has not moved, and only whether its end
// differs from the previous one matters.
//
// A worker that was taken for dead and lives does no harm: its task is processed a second
// time, and the ledger decides.
type LeaseWatcher struct {
	Store LeaseStore
	// Every is the time between two rounds.
	Every time.Duration
	// OnGivenBack is called with the number of tasks that were put back. It may be nil.
	OnGivenBack func(n int)
	Log         *slog.Logger

	taken  taken
	rounds sync.WaitGroup
	began  time.Time

	mu sync.Mutex
	// busy are the queues whose last round has not ended, failing those whose last one failed.
	busy, failing map[string]bool
	histories     map[string]*history // by queue
}

// Take records that this process has taken a task, whose lease each round then extends
// until done is called.
func (w *LeaseWatcher) Take(queue, task string) (done func()) { return w.taken.add(queue, task) }

// Poll begins a round for each group of queues that lie together, unless one has begun
// shortly before. It does not wait: queues in a slow part of Redis delay no others.
func (w *LeaseWatcher) Poll(ctx context.Context, groups [][]string) {
	now := time.Now()
	if now.Sub(w.began) < w.Every/2 {
		return
	}
	w.began = now
	for _, queues := range groups {
		w.startRound(ctx, queues)
	}
}

func (w *LeaseWatcher) startRound(ctx context.Context, queues []string) {
	if w.setBusy(queues[0]) {
		return
	}
	w.rounds.Go(func() {
		err := w.round(ctx, queues)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil && !w.failing[queues[0]] && ctx.Err() == nil {
			w.Log.Warn("cannot look for the tasks of dead workers; the next round tries again", "queue", queues[0], "error", err)
		}
		w.busy[queues[0]], w.failing[queues[0]] = false, err != nil
	})
}

// Wait waits until all rounds have ended.
func (w *LeaseWatcher) Wait() { w.rounds.Wait() }

func (w *LeaseWatcher) setBusy(queue string) (was bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy == nil {
		w.busy, w.failing, w.histories = map[string]bool{}, map[string]bool{}, map[string]*history{}
	}
	was = w.busy[queue]
	w.busy[queue] = true
	return was
}

// round extends the leases of this process's own tasks in the queues of an account, and
// reads all leases once.
//
// Dies anywhere: another process does the same.
func (w *LeaseWatcher) round(ctx context.Context, queues []string) error {
	for _, queue := range queues {
		if own := w.taken.tasks(queue); len(own) > 0 {
			if err := w.Store.Extend(ctx, queue, own, leaseTime); err != nil {
				return err
			}
		}
	}
	leases, err := w.Store.Leases(ctx, queues...)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, queue := range queues {
		stale := w.history(queue).update(now, 2*w.Every, leases[i])
		if len(stale) == 0 {
			continue
		}
		n, err := w.Store.GiveBack(ctx, queue, stale)
		if n > 0 {
			w.Log.LogAttrs(ctx, slog.LevelWarn, "a worker is dead; other workers take over its tasks",
				slog.String("queue", queue), slog.Int("tasks", n))
			if w.OnGivenBack != nil {
				w.OnGivenBack(n)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *LeaseWatcher) history(queue string) *history {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.histories[queue] == nil {
		w.histories[queue] = new(history)
	}
	return w.histories[queue]
}

// history is what this process has seen of the leases of a queue.
type history struct {
	at     time.Time
	leases map[string]lease
}

// lease is the last known end of a task's lease, and for how long this process has seen
// that end.
type lease struct {
	ends      int64
	unchanged time.Duration
}

// update takes in the leases as of now and returns those that have not moved for
// deadAfter. Between two rounds at most maxStep counts: while Redis does not respond, no
// worker can extend its leases, and while this process is frozen it sees none of them move.
func (h *history) update(now time.Time, maxStep time.Duration, leases map[string]int64) map[string]int64 {
	passed := min(now.Sub(h.at), maxStep)
	next, stale := make(map[string]lease, len(leases)), map[string]int64{}
	for task, ends := range leases {
		l, known := h.leases[task]
		if known && l.ends == ends {
			l.unchanged += passed
		} else {
			l = lease{ends: ends}
		}
		if next[task] = l; l.unchanged >= deadAfter {
			stale[task] = ends
		}
	}
	h.at, h.leases = now, next
	return stale
}
