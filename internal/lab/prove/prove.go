package prove

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/lab/testbed"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// trialRun is one run.
type trialRun struct {
	Options
	env      []string
	out, log io.Writer
	dir      string // its own, for Redis's files and, unless kept, the logs
	logs     string
	redis    *trialRedis
	node     *app.App
	observer *observer
	pool     *workerPool

	sayMu sync.Mutex
	sent  []tasks.Job
	sure  int // so many of them were acknowledged
	odd   []string

	failed bool // something is not as promised: everything is kept
}

// Run makes a proof and writes its report to out and its progress to log.
func Run(ctx context.Context, o Options, env []string, out, log io.Writer) (err error) {
	f := &trialRun{Options: o, env: env, out: out, log: log}
	if f.dir, err = os.MkdirTemp("", "camsq-prove-"); err != nil {
		return exit.Unreachablef("prove: %w", err)
	}
	defer func() {
		if !f.failed {
			_ = os.RemoveAll(f.dir)
		}
	}()
	f.logs = f.dir
	if o.KeepLogs != "" {
		f.logs = filepath.Join(o.KeepLogs, f.account())
		if err := os.MkdirAll(f.logs, 0o700); err != nil {
			return exit.Usagef("prove: --keep-logs: %w", err)
		}
	}

	if o.Redis == OwnRedis {
		if f.redis, err = startRedis(f.dir, f.logs); err != nil {
			return err
		}
		defer func() { f.redis.server.Kill() }()
	} else if f.redis, err = usersRedis(o.Redis); err != nil {
		return err
	}
	if f.observer, err = startObserver(o); err != nil {
		return err
	}
	defer f.observer.Close()
	if f.node, err = app.Open(f.config()); err != nil {
		return err
	}
	defer f.node.Close()
	if err := claimRedis(ctx, f.node); err != nil {
		return err
	}
	return f.run(ctx)
}

// config is the proof's own hold on Redis: past the proxies, since it is a witness.
func (f *trialRun) config() config.Config {
	return config.Config{
		RedisURL: f.redis.url, Keep: 24 * time.Hour, DataKeys: seal.NewKey(), CallbackAllowPrivate: true,
		Accounts: []config.Account{{Name: f.account()}},
	}
}

// run is a proof whose Redis and witnesses stand.
func (f *trialRun) run(ctx context.Context) error {
	if f.redis.server == nil && !f.Keep {
		defer func() {
			var pids []int
			if f.pool != nil {
				pids = f.pool.pids
			}
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if err := cleanRedis(clean, f.node.Redis, f.account(), pids); err != nil {
				fmt.Fprintln(f.log, "camsq:", err)
			}
		}()
	}
	command, err := f.command()
	if err != nil {
		return err
	}
	plan := makePlan(f.Options, f.redis.server != nil)
	f.say("%s, %s, %s, seed %d; logs in %s", humanize.Plural(int64(f.Jobs), "job"), humanize.Plural(int64(f.Workers), "worker"), humanize.Plural(int64(len(plan)), "mishap"), f.Seed, f.logs)
	f.pool, err = startPool(poolConfig{
		workers: f.Workers, logs: f.logs, redis: f.redis, cloud: f.observer.CAMS, command: command, say: f.say,
	})
	if err != nil {
		return err
	}
	defer f.pool.close()

	over := f.runChaos(ctx, plan)
	f.pool.stop(stopTime)
	e, err := f.gather(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	books := verify(e)
	if over != "" {
		books.find("", "%s", over)
	}
	return f.report(e, books)
}

// command writes the workers' configuration, and returns what makes their processes.
func (f *trialRun) command() (func(redis, cloud string) *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, exit.Unreachablef("prove: finding this program, to start workers: %w", err)
	}
	file := filepath.Join(f.dir, "camsq.yaml")
	text := "accounts:\n- name: " + f.account() + "\n  access_key_id_env: PROVE_KEY_ID\n  access_key_secret_env: PROVE_KEY_SECRET\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, exit.Unreachablef("prove: %w", err)
	}
	env := []string{
		"PROVE_KEY_ID=" + proveKeyID, "PROVE_KEY_SECRET=" + proveKeySecret,
		"CAMSQ_CONFIG=" + file,
		"CAMSQ_LISTEN=127.0.0.1:0",
		"CAMSQ_DATA_KEY=" + f.node.Config.DataKeys,
		"CAMSQ_KEEP=" + f.node.Config.Keep.String(),
		"CAMSQ_CALLBACK_URL=" + f.observer.CallbackURL,
		"CAMSQ_CALLBACK_SECRET=" + f.observer.CallbackSecret,
		"CAMSQ_CALLBACK_ALLOW_PRIVATE=true",
		fmt.Sprintf("CAMSQ_RATE=%g", f.rate()),
		"CAMSQ_CALL_TIMEOUT=" + proveCallTimeout.String(),
		"CAMSQ_RETRY_MIN=100ms", "CAMSQ_RETRY_MAX=1s",
		fmt.Sprintf("CAMSQ_MAX_TRIES=%d", proveMaxTries),
		"CAMSQ_RECONCILE_DELAY=" + proveReconcile.String(),
		"CAMSQ_SETTLE_WINDOW=" + f.patience().String(),
	}
	env = append(env, testbed.WithoutSettings(f.env)...)
	return func(redis, cloud string) *exec.Cmd {
		cmd := exec.Command(self, "worker")
		cmd.Env = append(append([]string(nil), env...), "CAMSQ_REDIS_URL="+redis, "CAMSQ_ENDPOINT="+cloud)
		return cmd
	}, nil
}

// stopTime is more than a worker may take to stop: a call and twice its settling.
const stopTime = proveCallTimeout + 40*time.Second

// hangTime is how long after the last mishap every job must have ended: asynq
// takes up to 2 minutes to miss a killed worker, and a webhook that failed twice
// waits for 5.
const hangTime = 10 * time.Minute

// runChaos sends the jobs, lets the mishaps happen, and returns when every job has
// ended and is told. over says why it returned before that, unless the user wants so.
func (f *trialRun) runChaos(ctx context.Context, plan []mishap) (over string) {
	limit := f.chaos() + time.Duration(f.Stops)*freezeMax + f.Away + hangTime
	if f.StopAfter > 0 {
		limit = f.StopAfter
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var busy sync.WaitGroup
	busy.Go(func() { f.send(limited) })
	for _, m := range plan {
		busy.Go(func() {
			if sleep(limited, m.at) {
				f.pool.apply(limited, m)
			}
		})
	}
	quiet := make(chan struct{})
	go func() { busy.Wait(); close(quiet) }()
	f.watch(limited, quiet)
	<-quiet
	switch {
	case ctx.Err() != nil:
		return "the proof was stopped before its end"
	case limited.Err() != nil && f.StopAfter == 0:
		return fmt.Sprintf("%v after the last mishap there are jobs that have not ended", hangTime)
	}
	return ""
}

// watch says once in a while how far it is, and returns when all is done.
func (f *trialRun) watch(ctx context.Context, quiet <-chan struct{}) {
	const every = 10 * time.Second
	said := time.Now()
	for sleep(ctx, 500*time.Millisecond) {
		look, cancel := context.WithTimeout(ctx, 2*time.Second)
		o, err := f.node.Ledger.Overview(look, f.account())
		cancel()
		if err != nil {
			continue // Redis is away, as planned
		}
		open := o.Jobs[tasks.StateQueued] + o.Jobs[tasks.StateCalling] + o.Jobs[tasks.StateUncertain]
		if time.Since(said) >= every {
			said = time.Now()
			f.say("%s; %s owed", inspect.StateCounts(o.Jobs), humanize.Plural(o.Owed, "callback"))
		}
		select {
		case <-quiet:
			if open == 0 && o.Owed == 0 {
				return
			}
		default:
		}
	}
}

// gather collects the evidence.
func (f *trialRun) gather(ctx context.Context) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	e := snapshot{
		instances: asked(f.observer.CAMS.Creates()), complaints: f.observer.CAMS.Violations(),
		events: f.observer.eventsByJob(), webhooks: f.observer.Receiver.Counts(), crashes: append(f.odd, f.pool.crashes...),
	}
	for begin := 0; begin < len(f.sent); begin += inspect.PageSize {
		jobs := f.sent[begin:min(begin+inspect.PageSize, len(f.sent))]
		ids := make([]string, len(jobs))
		for i, job := range jobs {
			ids[i] = job.ID
		}
		page, err := f.node.Ledger.GetMany(ctx, f.account(), ids)
		if err != nil {
			return e, f.unreadable(err)
		}
		for i, found := range page {
			// Whether a job was accepted whose sender got no answer, the ledger says.
			if begin+i < f.sure || !inspect.IsNotFound(found.Err) {
				e.jobs, e.records = append(e.jobs, jobs[i]), append(e.records, found)
			}
		}
	}
	o, err := f.node.Ledger.Overview(ctx, f.account())
	if err != nil {
		return e, f.unreadable(err)
	}
	e.counters = o.Jobs
	return e, nil
}

// asked are instances under the names that the calls asked for.
func asked(creates []camstest.Create) []cams.Instance {
	list := make([]cams.Instance, len(creates))
	for i, c := range creates {
		list[i] = c.Instance
		list[i].InstanceName = c.Requested
	}
	return list
}

// unreadable says why the books cannot be read; what ended by itself may be the cause.
func (f *trialRun) unreadable(err error) error {
	for _, c := range f.pool.crashes {
		err = fmt.Errorf("%w; %s", err, c)
	}
	return exit.Unreachablef("prove: reading the ledger: %w", err)
}

// say prints a line of the course of things.
func (f *trialRun) say(format string, args ...any) {
	if f.Quiet {
		return
	}
	f.sayMu.Lock()
	defer f.sayMu.Unlock()
	d := int(time.Since(f.observer.begun).Seconds())
	fmt.Fprintf(f.log, "%02d:%02d  %s\n", d/60, d%60, fmt.Sprintf(format, args...))
}

// sleep waits, and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
