package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/metrics"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// The joins: what the worker asks for and who gives it.
var (
	_ worker.Ledger    = (*ledger.Ledger)(nil)
	_ worker.Batches   = (*ledger.Ledger)(nil)
	_ worker.Books     = (*ledger.Ledger)(nil)
	_ worker.Doubts    = (*ledger.Ledger)(nil)
	_ worker.Callbacks = (*queue.Client)(nil)
	_ worker.Leases    = (*queue.Client)(nil)
	_ worker.Tasks     = (*queue.Client)(nil)
	_ worker.API       = (*cams.Client)(nil)
	_ worker.Limiter   = (*ratelimit.Bucket)(nil)
	_ worker.Breaker   = (*ledger.Ledger)(nil)
	_ asynqx.Gate      = (*worker.Worker)(nil)
	_ worker.Sender    = (*callback.Sender)(nil)
)

const (
	// longestWait is how long a turn holds its slot for the quota. The gate lets in
	// what waits half a second; this is for a pace that falls, and for many processes
	// that share a slow account.
	longestWait = 10 * time.Second
	// limiterKept is how long Redis keeps the pace of an idle account. The first call
	// after it has been forgotten waits a slot.
	limiterKept = 30 * 24 * time.Hour
)

func (p *program) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Take jobs from the queue and make the calls, until told to stop",
		Long: `worker takes jobs from the queue and makes the calls. Start as many as you like: the
quota of each account is shared by all. On SIGTERM no new call begins, calls under way
end and are recorded, and the exit code is 0.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := p.open(cmd)
			if err != nil {
				return err
			}
			defer n.close()
			return n.work(cmd.Context(), workOptions{log: newLog(n.config, p.stderr), env: p.env})
		},
	}
}

// workOptions are what a worker process takes beside the configuration.
type workOptions struct {
	log *slog.Logger
	env []string
	// sweep is the time between two sweeps; 0 is the worker's own choice.
	sweep time.Duration
	// registry is where the metrics go. Nil makes one.
	registry *prometheus.Registry
	// attempt is told of each call, after the metrics. It may be nil.
	attempt func(tasks.Attempt)
}

// work is the composition root of a worker process. What is wrong with the
// configuration is said before anything starts; a Redis that is away is waited for.
func (n *node) work(ctx context.Context, o workOptions) error {
	n.use = ledger.Working
	c := n.config
	lanes, err := n.lanes(ctx, o)
	if err != nil {
		return err
	}
	// Two clients, with ten connections for each core.
	if err := fitFiles(lanes, filesLimit(), 2*10*runtime.GOMAXPROCS(0), o.log); err != nil {
		return err
	}
	sender, err := c.sender()
	if err != nil {
		return err
	}
	registry := o.registry
	if registry == nil {
		registry = prometheus.NewRegistry()
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	turns := new(turnTimes)
	m := metrics.New(registry, metrics.Config{Accounts: c.names(), Version: version(), Backlog: newBacklog(n, turns)})
	wc := worker.Config{
		Lanes: lanes, Ledger: n.ledger, Batches: n.ledger, Callbacks: n.queue, Breaker: n.ledger,
		Lookout: lookout{n}, Leases: n.queue, Log: o.log,
		Schedule: callback.Schedule{}.NextDelay,
		Hooks: worker.Hooks{
			Call: m.APICall, Finish: m.Finish, Delivery: m.Delivery, Waited: m.LimiterWait, Look: m.Look, Swept: m.Swept,
		},
		CallTimeout: c.CallTimeout, RetryMin: c.RetryMin, RetryMax: c.RetryMax,
		MaxTries: c.MaxTries, MaxAge: c.MaxAge,
		ReconcileDelay: c.ReconcileDelay, SettleWindow: c.SettleWindow,
		Existing: c.Existing, Absent: c.Absent,
	}
	wc.Hooks.Attempt = func(a tasks.Attempt) {
		m.Attempt(a)
		turns.note(a)
		if o.attempt != nil {
			o.attempt(a)
		}
	}
	if sender != nil {
		defer sender.Close()
		wc.Sender = sender
	}
	w, err := worker.New(wc)
	if err != nil {
		return usage("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}

	health := &readiness{node: n}
	// The address is taken before the worker starts, so a taken one stops it.
	l, err := listen("CAMSQ_LISTEN", c.Listen)
	if err != nil {
		return err
	}
	defer serve(l, metrics.Handler(registry, health), o.log.Handler())()
	o.log.Info("listening", "address", l.Addr().String())
	if err := n.awaitRedis(ctx, o.log); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}

	n.warnOfRedis(ctx, o.log)
	n.warnOfStrangers(ctx, o.log)

	rdb, err := redisconn.Open(c.RedisURL, redisconn.Options{ClientName: "camsq-asynq"})
	if err != nil {
		return usage("%w", err)
	}
	defer rdb.Close() // after Run: asynq reads from it until its servers have stopped

	var sweeping sync.WaitGroup
	sweeper := worker.Sweeper{
		Accounts: c.names(), Books: n.ledger, Tasks: n.queue, Log: o.log, Swept: m.Swept, Every: o.sweep,
	}
	sweeping.Go(func() { sweeper.Run(ctx) })
	reconciler := worker.Reconciler{Accounts: c.names(), Doubts: n.ledger, Turn: w.Turn, Log: o.log}
	sweeping.Go(func() { reconciler.Run(ctx) })
	defer sweeping.Wait()
	context.AfterFunc(ctx, health.stop)
	return w.Run(ctx, asynqx.NewServers(rdb, w, o.log))
}

// lanes makes a lane of each account. If no account at all has credentials the
// worker could do nothing, and does not start; else those without only wait.
func (n *node) lanes(ctx context.Context, o workOptions) ([]worker.Lane, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	limiter := ratelimit.New(n.rdb, ratelimit.Config{MaxWait: longestWait, Keep: limiterKept})
	var lanes []worker.Lane
	var without []string
	for _, a := range n.config.Accounts {
		source, renew, err := a.credentials(o.env)
		if err != nil {
			return nil, usage("account %s: %w", a.Name, err)
		}
		if _, err := source.Credentials(ctx); err != nil {
			without = append(without, a.Name)
		}
		api, err := cams.New(cams.Config{
			Endpoint: a.Endpoint, Region: a.Region, Credentials: source, UserAgent: "camsq/" + version(),
		})
		if err != nil {
			return nil, usage("CAMSQ_ENDPOINT or CAMSQ_REGION: account %s: %w", a.Name, err)
		}
		bucket := func(action string) *ratelimit.Bucket {
			return limiter.Bucket(ledger.LimitKey(a.Name, action), ratelimit.Limit{Rate: a.Rate})
		}
		lanes = append(lanes, worker.Lane{
			Account: a.Name, API: api, Renew: renew, Rate: a.Rate,
			Create: bucket(worker.ActionCreate), List: bucket(worker.ActionList),
			CallbackURL: a.CallbackURL, Concurrency: a.Concurrency,
		})
	}
	if len(without) == len(lanes) && ctx.Err() == nil {
		return nil, usage("no credentials for account %s: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, "+
			"or another source of the vendor's credential chain", strings.Join(without, ", "))
	}
	for _, name := range without {
		o.log.Error("the account has no credentials; its jobs wait", "account", name)
	}
	return lanes, nil
}

// sender makes the sender of callbacks, or nil if nobody signs: then nobody may
// be told either.
func (c config) sender() (*callback.Sender, error) {
	for _, a := range c.Accounts {
		if a.CallbackURL == "" {
			continue
		}
		if c.CallbackSecret == "" {
			return nil, usage("CAMSQ_CALLBACK_URL is set for account %s, but CAMSQ_CALLBACK_SECRET is not; a callback is always signed", a.Name)
		}
		if err := callback.CheckURL(a.CallbackURL, c.CallbackAllowPrivate); err != nil {
			do := ""
			if advice := receiverAdvice(a.CallbackURL); advice != "" {
				do = "; " + advice
			}
			return nil, usage("CAMSQ_CALLBACK_URL: account %s: %w%s", a.Name, err, do)
		}
	}
	if c.CallbackSecret == "" {
		return nil, nil
	}
	keys, err := callback.ParseSecrets(c.CallbackSecret)
	if err != nil {
		return nil, usage("CAMSQ_CALLBACK_SECRET: %w", err)
	}
	s, err := callback.NewSender(callback.Config{Keys: keys, AllowPrivate: c.CallbackAllowPrivate, Version: version()})
	if err != nil {
		return nil, usage("CAMSQ_CALLBACK_SECRET: %w", err)
	}
	return s, nil
}

// receiverAdvice says what to do about a receiver that is not allowed, if there
// is more to say than the reason does.
func receiverAdvice(rawURL string) string {
	if callback.CheckURL(rawURL, true) != nil {
		return ""
	}
	return "give an https URL on the internet, or set CAMSQ_CALLBACK_ALLOW_PRIVATE=true"
}

// credentials returns where the account's credentials come from, and what drops
// those that the API has refused.
func (a account) credentials(env []string) (cams.CredentialSource, func(), error) {
	if a.KeyID != "" {
		for _, name := range []string{a.KeyID, a.KeySecret} {
			if lookup(env, name) == "" {
				return nil, nil, fmt.Errorf("the variable %s, which is to hold a part of its key, is not set", name)
			}
		}
		return cams.StaticCredentials(cams.Credentials{
			AccessKeyID: lookup(env, a.KeyID), AccessKeySecret: lookup(env, a.KeySecret), SecurityToken: lookup(env, a.Token),
		}), nil, nil
	}
	if a.Profile != "" {
		source := cams.NewProfileCredentials(a.Profile)
		return source, source.Invalidate, nil
	}
	source := cams.NewDefaultCredentials()
	return source, source.Invalidate, nil
}

// awaitRedis returns when Redis answers, or ctx ends. Only an answer that
// waiting does not mend is an error.
func (n *node) awaitRedis(ctx context.Context, log *slog.Logger) error {
	var since time.Time
	for ctx.Err() == nil {
		err := n.answers(ctx)
		if err == nil {
			err = n.refused(ctx)
		}
		if err == nil {
			if !since.IsZero() {
				log.Info("Redis is there", "after", time.Since(since).Round(time.Millisecond))
			}
			return nil
		}
		if e, ok := errors.AsType[*exitError](err); ok && e.code == exitUsage {
			return err
		}
		if since.IsZero() {
			log.Warn("waiting for Redis", "error", err)
			since = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// refused tells whether Redis refuses what the worker must do, which waiting does not
// mend. Whatever else goes wrong is met on the way.
func (n *node) refused(ctx context.Context) error {
	for _, err := range n.tryout(ctx) {
		if redisconn.AnswerOf(err) == redisconn.Refusal {
			return n.noAnswer(ctx, err)
		}
	}
	return nil
}

// warnOfStrangers says which accounts have jobs here that this worker does not
// know: another worker may; if none does, they wait. The metrics count them as
// account "other".
func (n *node) warnOfStrangers(ctx context.Context, log *slog.Logger) {
	names, err := n.accounts(ctx)
	if err != nil {
		log.Warn("looking for accounts that are not configured", "error", err)
		return
	}
	for _, name := range names[len(n.config.names()):] {
		if jobs, err := n.ledger.CountUnfinished(ctx, name); err == nil && jobs > 0 {
			log.Warn("jobs wait for an account that is not configured here", "account", name, "jobs", jobs)
		}
	}
}

// readiness is what /readyz asks.
type readiness struct {
	node *node
	mu   sync.Mutex
	gone bool
}

func (r *readiness) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
}

// Ready says why the process takes no work now, if so.
func (r *readiness) Ready(ctx context.Context) error {
	r.mu.Lock()
	gone := r.gone
	r.mu.Unlock()
	if gone {
		return errors.New("stopping")
	}
	if err := r.node.up(ctx); redisconn.AnswerOf(err) == redisconn.Silence {
		return errors.New("no answer from Redis")
	} else if err != nil {
		return errors.New("Redis " + redisconn.Told(err))
	}
	return nil
}

// lookout shows the worker its lanes: what holds them back is the ledger's, what
// waits in them is asynq's.
type lookout struct{ node *node }

func (l lookout) Look(ctx context.Context, accounts []string) []worker.View {
	var depths []tasks.Depth
	var depthErrs []error
	var asking sync.WaitGroup
	// At once: a part of Redis that is frozen costs its time once.
	asking.Go(func() { depths, depthErrs = l.node.queue.Depths(ctx, accounts) })
	lanes, laneErrs := l.node.ledger.Lanes(ctx, accounts)
	asking.Wait()
	return worker.Views(lanes, laneErrs, depths, depthErrs)
}

func (l lookout) Listen(ctx context.Context, heard func(string)) {
	redisconn.Listen(ctx, l.node.rdb, tasks.WakeChannel, heard)
}

// backlog lets the metrics ask the ledger and the limiter.
type backlog struct {
	node *node
	// turns is how long this process's turns take.
	turns *turnTimes
}

// newBacklog makes one. Without turn times each account counts as one that has made no
// call here.
func newBacklog(n *node, turns *turnTimes) backlog {
	if turns == nil {
		turns = new(turnTimes)
	}
	return backlog{n, turns}
}

// Backlog counts what is still to be done, and tells how each account is paced, in
// a few round trips for each account.
func (b backlog) Backlog(ctx context.Context) ([]metrics.LaneBacklog, metrics.CallbackBacklog, error) {
	var told metrics.CallbackBacklog
	names, err := b.node.accounts(ctx)
	if err != nil {
		return nil, told, err
	}
	lanes, owed := make([]metrics.LaneBacklog, len(names)), make([]metrics.CallbackBacklog, len(names))
	errs := eachAccount(ctx, names, func(ctx context.Context, i int) (err error) {
		lanes[i], owed[i], err = b.of(ctx, names[i])
		return err
	})
	seen := false
	for i, err := range errs {
		if err != nil {
			lanes[i] = metrics.LaneBacklog{Account: names[i], Unknown: true}
			continue
		}
		seen = true
		told.Owed += owed[i].Owed
		told.Dead += owed[i].Dead
		told.OldestOwed = max(told.OldestOwed, owed[i].OldestOwed)
	}
	if !seen {
		return nil, told, errs[0]
	}
	return lanes, told, nil
}

// of is the backlog of one account.
func (b backlog) of(ctx context.Context, name string) (lane metrics.LaneBacklog, told metrics.CallbackBacklog, err error) {
	o, err := b.node.ledger.Overview(ctx, name)
	if err != nil {
		return lane, told, err
	}
	f, err := b.node.laneFacts(ctx, name)
	if err != nil {
		return lane, told, err
	}
	lane = metrics.LaneBacklog{
		Account: name, Jobs: o.Jobs, Oldest: o.Oldest,
		Rate: f.Quota.Rate, Ceiling: worker.Pace(f.rate()), Paused: f.Pause != nil,
		Desired: f.desiredWorkers(o.Jobs[tasks.StateQueued], b.turns.of(name), b.node.config.concurrency(name)),
	}
	if o.Jobs[tasks.StateCalling]+o.Jobs[tasks.StateUncertain]+o.Owed > 0 {
		lane.Desired = max(lane.Desired, 1) // to look for what was made, and to tell of it
	}
	if f.Trip != nil {
		lane.TrippedBy, lane.Away = orElse(f.Trip.Code, "none"), f.Trip.Away
	}
	return lane, metrics.CallbackBacklog{Owed: o.Owed, Dead: o.Dead, OldestOwed: o.OldestOwed}, nil
}

// desiredWorkers is how many processes the account can keep busy: as many turns at
// once as its rate starts in the time of one, or as there are jobs, in processes of
// so many turns each. An account that is held back needs one process, to notice
// when it no longer is; one without jobs needs none.
func (f laneFacts) desiredWorkers(queued int64, turn time.Duration, concurrency int) int {
	if queued == 0 {
		return 0
	}
	if f.Pause != nil || f.Trip != nil {
		return 1
	}
	turns := math.Min(float64(queued), f.Quota.Rate*turn.Seconds())
	return max(int(math.Ceil(turns/float64(max(concurrency, 1)))), 1)
}

// turnTimes estimates how long the turns of each account take in this process.
type turnTimes struct {
	mu    sync.Mutex
	calls map[string]time.Duration
}

// note takes in one call: the last ones count most.
func (t *turnTimes) note(a tasks.Attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls = map[string]time.Duration{}
	}
	if last, known := t.calls[a.Account]; known {
		t.calls[a.Account] = last + (a.Took-last)/16
	} else {
		t.calls[a.Account] = a.Took
	}
}

// of is the time of a turn: two calls, and the wait for the quota that a worker
// keeps its turns in. An account that has made no call here counts as one of calls
// of a second.
func (t *turnTimes) of(account string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	call, known := t.calls[account]
	if !known {
		call = time.Second
	}
	return 2*call + worker.Ahead
}

func newLog(c config, w io.Writer) *slog.Logger {
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
