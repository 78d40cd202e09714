package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/camsq/camsq/tasks"
)

// deadAfter is how long a lease stands still until its worker counts as gone: killed,
// frozen, or cut off from Redis. A live worker moves its leases on at each of its looks,
// once a second, so five of them are missing; asynq's own heartbeat comes every 5 s
// (v0.26.0, server.go). The half second keeps this between two looks: a look that comes
// a little early would put it off by a whole one.
const deadAfter = 5500 * time.Millisecond

// leaseTime is asynq's LeaseDuration (v0.26.0, internal/rdb).
const leaseTime = 30 * time.Second

// abandoned finds the tasks of workers that are gone and puts them back into their
// queues, in every process: no lock has to outlive its holder, and of two processes
// that put one task back the second finds another lease. asynq does that too, a minute
// or two later, since it compares the clocks of processes and allows for their
// differences. Here each process looks for itself how long a lease stands still, and
// only whether its end differs from the last one matters, not where it lies.
//
// A worker that was taken for dead and lives, or goes on later, does no harm: its task
// has its turn a second time, and the ledger decides.
type abandoned struct {
	worker *Worker
	inHand *inHand
	rounds sync.WaitGroup
	began  time.Time

	mu sync.Mutex
	// busy are the queues whose last round goes on, failing those whose last one failed.
	busy, failing map[string]bool
	watches       map[string]*watch // by queue
}

func newAbandoned(w *Worker, h *inHand) *abandoned {
	return &abandoned{worker: w, inHand: h, busy: map[string]bool{}, failing: map[string]bool{}, watches: map[string]*watch{}}
}

// look begins a round for the callbacks, and for each lane of which workers have taken
// tasks. It waits for none: a lane whose Redis is slow holds up no other.
func (a *abandoned) look(ctx context.Context) {
	now := time.Now()
	if now.Sub(a.began) < a.worker.LookEvery/2 {
		return // a message asked for a look between two
	}
	a.began = now
	a.begin(ctx, tasks.QueueCallback)
	for _, account := range a.worker.accounts {
		if a.worker.lanes[account].hasTaken() {
			a.begin(ctx, tasks.ProvisionQueue(account), tasks.HighQueue(account))
		}
	}
}

func (a *abandoned) wait() { a.rounds.Wait() }

func (a *abandoned) begin(ctx context.Context, queues ...string) {
	a.mu.Lock()
	going := a.busy[queues[0]]
	a.busy[queues[0]] = true
	a.mu.Unlock()
	if going {
		return
	}
	a.rounds.Go(func() {
		err := a.round(ctx, queues)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil && !a.failing[queues[0]] && ctx.Err() == nil {
			a.worker.Log.Warn("looking for tasks of workers that are gone", "queue", queues[0], "error", err)
		}
		a.busy[queues[0]], a.failing[queues[0]] = false, err != nil
	})
}

// round moves on the leases of this process's own tasks in one account's queues, and
// looks at all of them once.
//
// Dies anywhere: another process does the same.
func (a *abandoned) round(ctx context.Context, queues []string) error {
	for _, queue := range queues {
		if own := a.inHand.tasks(queue); len(own) > 0 {
			if err := a.worker.Leases.Extend(ctx, queue, own, leaseTime); err != nil {
				return err
			}
		}
	}
	leases, err := a.worker.Leases.Leases(ctx, queues...)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, queue := range queues {
		still := a.watch(queue).see(now, 2*a.worker.LookEvery, leases[i])
		if len(still) == 0 {
			continue
		}
		n, err := a.worker.Leases.GiveBack(ctx, queue, still)
		if n > 0 {
			a.worker.Log.LogAttrs(ctx, slog.LevelWarn, "a worker is gone; others go on with the tasks that it had taken",
				slog.String("queue", queue), slog.Int("tasks", n))
			if a.worker.Hooks.Swept != nil {
				a.worker.Hooks.Swept("abandoned", n)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *abandoned) watch(queue string) *watch {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.watches[queue] == nil {
		a.watches[queue] = new(watch)
	}
	return a.watches[queue]
}

// watch is what this process has seen of the leases of a queue.
type watch struct {
	at   time.Time
	seen map[string]lease
}

// lease is the last end of a task's lease, and how long it has been the last one under
// this process's eyes.
type lease struct {
	ends  int64
	still time.Duration
}

// see takes in the leases as of now and returns those that stand still. Between two
// looks no more than most counts: while Redis stands still no worker can move its
// leases on, and while this process does it sees none move.
func (v *watch) see(now time.Time, most time.Duration, leases map[string]int64) map[string]int64 {
	passed := min(now.Sub(v.at), most)
	seen, still := make(map[string]lease, len(leases)), map[string]int64{}
	for task, ends := range leases {
		l, known := v.seen[task]
		if known && l.ends == ends {
			l.still += passed
		} else {
			l = lease{ends: ends}
		}
		if seen[task] = l; l.still >= deadAfter {
			still[task] = ends
		}
	}
	v.at, v.seen = now, seen
	return still
}
