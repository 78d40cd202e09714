package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/finalize"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/metrics"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// The interfaces that the worker asks for, and the types that implement them.
var (
	_ worker.Store             = (*ledger.Ledger)(nil)
	_ finalize.Queue           = (*queue.Client)(nil)
	_ recovery.SweepStore      = (*ledger.Ledger)(nil)
	_ recovery.UnresolvedStore = (*ledger.Ledger)(nil)
	_ recovery.LeaseStore      = (*queue.Client)(nil)
	_ recovery.SweepQueue      = (*queue.Client)(nil)
	_ worker.API               = (*cams.Client)(nil)
	_ worker.Limiter           = (*ratelimit.Bucket)(nil)
	_ worker.Breaker           = (*ledger.Ledger)(nil)
	_ asynqx.Gate              = worker.Gate{}
	_ worker.Sender            = (*callback.Sender)(nil)
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

// WorkerOptions are what a worker process takes beside the configuration.
type WorkerOptions struct {
	Log *slog.Logger
	Env []string
	// sweep is the time between two sweeps; 0 is the worker's own choice.
	sweep time.Duration
	// registry is where the metrics go. Nil makes one.
	Registry *prometheus.Registry
	// attempt is called with each call, after the metrics. It may be nil.
	Attempt func(tasks.Attempt)
}

// RunWorker runs a worker process until ctx ends. What is wrong with the configuration is
// said before anything starts; a Redis that is away is waited for.
func (a *App) RunWorker(ctx context.Context, o WorkerOptions) error {
	a.Use = ledger.Working
	p, err := a.newWorkerProcess(ctx, o)
	if err != nil {
		return err
	}
	defer p.close()
	// The address is taken before the worker starts, so a taken one stops it.
	listener, err := Listen("CAMSQ_LISTEN", a.Config.Listen)
	if err != nil {
		return err
	}
	defer Serve(listener, metrics.Handler(p.registry, p.readiness), o.Log.Handler())()
	o.Log.Info("listening", "address", listener.Addr().String())
	if err := a.waitForRedis(ctx, o.Log); err != nil || ctx.Err() != nil {
		return err
	}
	a.WarnOfRedis(ctx, o.Log)
	a.warnOfStrangers(ctx, o.Log)
	// All parts are asked to stop at once: no call may begin after that, not even while a
	// round of the reconciler ends. What they use is closed when the last has ended.
	ctx, stop := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { p.readiness.run(ctx) })
	parts.Go(func() { p.sweeper.Run(ctx) })
	parts.Go(func() { p.reconciler.Run(ctx) })
	err = p.worker.Run(ctx, asynqx.NewServers(p.queue, p.worker.Gate(), o.Log))
	stop()
	parts.Wait()
	return err
}

// workerProcess is what a worker process consists of.
type workerProcess struct {
	registry   *prometheus.Registry
	readiness  *readiness
	worker     *worker.Worker
	sweeper    recovery.Sweeper
	reconciler recovery.Reconciler
	sender     *callback.Sender // nil without a secret
	queue      redis.UniversalClient
}

// close frees what the parts read from until they have stopped.
func (p *workerProcess) close() {
	_ = p.queue.Close()
	if p.sender != nil {
		p.sender.Close()
	}
}

func (a *App) newWorkerProcess(ctx context.Context, o WorkerOptions) (*workerProcess, error) {
	c := a.Config
	lanes, err := a.lanes(ctx, o)
	if err != nil {
		return nil, err
	}
	// Two clients, with ten connections for each core.
	if err := fitFiles(lanes, filesLimit(), 2*10*runtime.GOMAXPROCS(0), o.Log); err != nil {
		return nil, err
	}
	p := &workerProcess{registry: o.Registry, readiness: &readiness{app: a}}
	if p.registry == nil {
		p.registry = prometheus.NewRegistry()
		p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	turns := new(turnTimes)
	m := metrics.New(p.registry, metrics.Config{Accounts: c.Names(), Version: Version(), Backlog: NewBacklog(a, turns)})
	if p.sender, err = NewSender(c); err != nil {
		return nil, err
	}
	wc := a.workerConfig(m, o.Log)
	wc.Lanes = lanes
	wc.Hooks.Attempt = func(attempt tasks.Attempt) {
		m.Attempt(attempt)
		turns.record(attempt)
		if o.Attempt != nil {
			o.Attempt(attempt)
		}
	}
	if p.sender != nil {
		wc.Sender = p.sender
	}
	if p.worker, err = worker.New(wc); err != nil {
		return nil, exit.Usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	p.sweeper = recovery.Sweeper{
		Accounts: c.Names(), Store: a.Ledger, Queue: a.Queue, Log: o.Log, OnSwept: m.Swept, Every: o.sweep,
	}
	p.reconciler = recovery.Reconciler{Accounts: c.Names(), Store: a.Ledger, Process: p.worker.Process, Log: o.Log}
	if p.queue, err = redisconn.Open(c.RedisURL, redisconn.Options{ClientName: "camsq-asynq"}); err != nil {
		return nil, exit.Usagef("%w", err)
	}
	return p, nil
}

// workerConfig is the worker's configuration but for its lanes and its sender.
func (a *App) workerConfig(m *metrics.Metrics, log *slog.Logger) worker.Config {
	c := a.Config
	return worker.Config{
		Store: a.Ledger, Queue: a.Queue, Breaker: a.Ledger,
		Watcher: queueWatcher{a}, Leases: a.Queue, Log: log,
		Schedule: callback.Schedule{}.NextDelay,
		Hooks: worker.Hooks{
			Call: m.APICall, Finish: m.Finish, Delivery: m.Delivery, Waited: m.LimiterWait, Lookup: m.Lookup, Swept: m.Swept,
		},
		CallTimeout: c.CallTimeout, RetryMin: c.RetryMin, RetryMax: c.RetryMax,
		MaxTries: c.MaxTries, MaxAge: c.MaxAge,
		ReconcileDelay: c.ReconcileDelay, SettleWindow: c.SettleWindow,
		OnExisting: c.Existing, OnNotFound: c.Absent,
	}
}

// lanes makes a lane of each account. If no account at all has credentials the
// worker could do nothing, and does not start; else those without only wait.
func (n *App) lanes(ctx context.Context, o WorkerOptions) ([]worker.Lane, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	limiter := ratelimit.New(n.Redis, ratelimit.Config{MaxWait: longestWait, Keep: limiterKept})
	var lanes []worker.Lane
	var without []string
	for _, a := range n.Config.Accounts {
		source, renew, err := Credentials(a, o.Env)
		if err != nil {
			return nil, exit.Usagef("account %s: %w", a.Name, err)
		}
		if _, err := source.Credentials(ctx); err != nil {
			without = append(without, a.Name)
		}
		api, err := cams.New(cams.Config{
			Endpoint: a.Endpoint, Region: a.Region, Credentials: source, UserAgent: "camsq/" + Version(),
		})
		if err != nil {
			return nil, exit.Usagef("CAMSQ_ENDPOINT or CAMSQ_REGION: account %s: %w", a.Name, err)
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
		return nil, exit.Usagef("no credentials for account %s: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, "+
			"or another source of the vendor's credential chain", strings.Join(without, ", "))
	}
	for _, name := range without {
		o.Log.Error("the account has no credentials; its jobs wait", "account", name)
	}
	return lanes, nil
}

// NewSender makes the sender of callbacks, or nil without a secret: callbacks are always
// signed.
func NewSender(c config.Config) (*callback.Sender, error) {
	for _, a := range c.Accounts {
		if a.CallbackURL == "" {
			continue
		}
		if c.CallbackSecret == "" {
			return nil, exit.Usagef("CAMSQ_CALLBACK_URL is set for account %s, but CAMSQ_CALLBACK_SECRET is not; a callback is always signed", a.Name)
		}
		if err := callback.CheckURL(a.CallbackURL, c.CallbackAllowPrivate); err != nil {
			do := ""
			if advice := ReceiverAdvice(a.CallbackURL); advice != "" {
				do = "; " + advice
			}
			return nil, exit.Usagef("CAMSQ_CALLBACK_URL: account %s: %w%s", a.Name, err, do)
		}
	}
	if c.CallbackSecret == "" {
		return nil, nil
	}
	keys, err := callback.ParseSecrets(c.CallbackSecret)
	if err != nil {
		return nil, exit.Usagef("CAMSQ_CALLBACK_SECRET: %w", err)
	}
	s, err := callback.NewSender(callback.Config{Keys: keys, AllowPrivate: c.CallbackAllowPrivate, Version: Version()})
	if err != nil {
		return nil, exit.Usagef("CAMSQ_CALLBACK_SECRET: %w", err)
	}
	return s, nil
}

// ReceiverAdvice says what to do about a receiver that is not allowed, if there
// is more to say than the reason does.
func ReceiverAdvice(rawURL string) string {
	if callback.CheckURL(rawURL, true) != nil {
		return ""
	}
	return "give an https URL on the internet, or set CAMSQ_CALLBACK_ALLOW_PRIVATE=true"
}

// Credentials returns where the account's credentials come from, and what drops
// those that the API has refused.
func Credentials(a config.Account, env []string) (cams.CredentialSource, func(), error) {
	if a.KeyID != "" {
		for _, name := range []string{a.KeyID, a.KeySecret} {
			if config.Lookup(env, name) == "" {
				return nil, nil, fmt.Errorf("the variable %s, which is to hold a part of its key, is not set", name)
			}
		}
		return cams.StaticCredentials(cams.Credentials{
			AccessKeyID: config.Lookup(env, a.KeyID), AccessKeySecret: config.Lookup(env, a.KeySecret), SecurityToken: config.Lookup(env, a.Token),
		}), nil, nil
	}
	if a.Profile != "" {
		source := cams.NewProfileCredentials(a.Profile)
		return source, source.Invalidate, nil
	}
	source := cams.NewDefaultCredentials()
	return source, source.Invalidate, nil
}

// waitForRedis returns when Redis answers, or ctx ends. Only an answer that
// waiting does not mend is an error.
func (a *App) waitForRedis(ctx context.Context, log *slog.Logger) error {
	var since time.Time
	for ctx.Err() == nil {
		err := a.ping(ctx)
		if err == nil {
			err = a.refused(ctx)
		}
		if err == nil {
			if !since.IsZero() {
				log.Info("Redis is there", "after", time.Since(since).Round(time.Millisecond))
			}
			return nil
		}
		if e, ok := errors.AsType[*exit.Error](err); ok && e.Code == exit.CodeUsage {
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

// refused reports whether Redis refuses what the worker must do, which waiting does not
// mend. Whatever else goes wrong is met on the way.
func (a *App) refused(ctx context.Context) error {
	for _, err := range a.Tryout(ctx) {
		if redisconn.AnswerOf(err) == redisconn.Refusal {
			return a.RedisError(ctx, err)
		}
	}
	return nil
}

// warnOfStrangers says which accounts have jobs here that this worker does not
// know: another worker may; if none does, they wait. The metrics count them as
// account "other".
func (a *App) warnOfStrangers(ctx context.Context, log *slog.Logger) {
	names, err := a.AccountNames(ctx)
	if err != nil {
		log.Warn("looking for accounts that are not configured", "error", err)
		return
	}
	for _, name := range names[len(a.Config.Names()):] {
		if jobs, err := a.Ledger.CountUnfinished(ctx, name); err == nil && jobs > 0 {
			log.Warn("jobs wait for an account that is not configured here", "account", name, "jobs", jobs)
		}
	}
}

// queueWatcher shows the worker its lanes: what holds them back is the ledger's, what
// waits in them is asynq's.
type queueWatcher struct{ app *App }

func (l queueWatcher) Poll(ctx context.Context, accounts []string) []worker.View {
	var depths []tasks.Depth
	var depthErrs []error
	var reads sync.WaitGroup
	// At once: a part of Redis that is frozen costs its time once.
	reads.Go(func() { depths, depthErrs = l.app.Queue.Depths(ctx, accounts) })
	lanes, laneErrs := l.app.Ledger.Lanes(ctx, accounts)
	reads.Wait()
	return worker.Views(lanes, laneErrs, depths, depthErrs)
}

func (l queueWatcher) Listen(ctx context.Context, onMessage func(string)) {
	redisconn.Listen(ctx, l.app.Redis, tasks.WakeChannel, onMessage)
}

// NewBacklog makes one. Without turn times each account counts as one that has made no
// call here.
func NewBacklog(a *App, turns *turnTimes) backlog {
	if turns == nil {
		turns = new(turnTimes)
	}
	return backlog{a, turns}
}

// NewLog makes the worker's log, in the form that the configuration names.
func NewLog(c config.Config, w io.Writer) *slog.Logger {
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}
