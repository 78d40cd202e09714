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

// trialRun is one trial.
type trialRun struct {
	Options
	env      []string
	out, log io.Writer
	dir      string // temporary: Redis's files and, without KeepLogs, the logs
	logs     string
	redis    *trialRedis
	app      *app.App
	observer *observer
	pool     *workerPool

	sayMu        sync.Mutex
	sent         []tasks.Job
	acknowledged int // how many of sent Redis confirmed
	refused      []string

	failed bool // a promise was broken: the files are kept
}

// Run runs a trial and writes its report to out and its progress to log. The error says
// whether a promise was broken, a part could not start, or an option is unusable.
func Run(ctx context.Context, o Options, env []string, out, log io.Writer) (err error) {
	t := &trialRun{Options: o, env: env, out: out, log: log}
	if t.dir, err = os.MkdirTemp("", "camsq-prove-"); err != nil {
		return exit.Unreachablef("prove: %w", err)
	}
	defer func() {
		if !t.failed {
			_ = os.RemoveAll(t.dir)
		}
	}()
	t.logs = t.dir
	if o.KeepLogs != "" {
		t.logs = filepath.Join(o.KeepLogs, t.account())
		if err := os.MkdirAll(t.logs, 0o700); err != nil {
			return exit.Usagef("prove: --keep-logs: %w", err)
		}
	}

	if o.Redis == OwnRedis {
		if t.redis, err = startRedis(t.dir, t.logs); err != nil {
			return err
		}
		defer func() { t.redis.server.Kill() }()
	} else if t.redis, err = usersRedis(o.Redis); err != nil {
		return err
	}
	if t.observer, err = startObserver(o); err != nil {
		return err
	}
	defer t.observer.Close()
	if t.app, err = app.Open(t.config()); err != nil {
		return err
	}
	defer t.app.Close()
	if err := claimRedis(ctx, t.app); err != nil {
		return err
	}
	return t.run(ctx)
}

// config reaches Redis directly and not through a proxy, so that no fault hides a record.
func (t *trialRun) config() config.Config {
	return config.Config{
		RedisURL: t.redis.url, Keep: 24 * time.Hour, DataKeys: seal.NewKey(), CallbackAllowPrivate: true,
		Accounts: []config.Account{{Name: t.account()}},
	}
}

// run injects the faults, verifies and reports, with Redis and observer running.
func (t *trialRun) run(ctx context.Context) error {
	if t.redis.server == nil && !t.Keep {
		defer func() {
			var pids []int
			if t.pool != nil {
				pids = t.pool.pids
			}
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if err := cleanRedis(clean, t.app.Redis, t.account(), pids); err != nil {
				fmt.Fprintln(t.log, "camsq:", err)
			}
		}()
	}
	command, err := t.command()
	if err != nil {
		return err
	}
	plan := makePlan(t.Options, t.redis.server != nil)
	t.say("%s, %s, %s, seed %d; logs in %s", humanize.Plural(int64(t.Jobs), "job"), humanize.Plural(int64(t.Workers), "worker"), humanize.Plural(int64(len(plan)), "fault"), t.Seed, t.logs)
	t.pool, err = startPool(poolConfig{
		workers: t.Workers, logs: t.logs, redis: t.redis, api: t.observer.CAMS, command: command, say: t.say,
	})
	if err != nil {
		return err
	}
	defer t.pool.close()

	unfinished := t.runChaos(ctx, plan)
	t.pool.stop(stopTime)
	s, err := t.takeSnapshot(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	v := verify(s)
	if unfinished != "" {
		v.find("", "%s", unfinished)
	}
	return t.report(s, v)
}

// command writes the workers' configuration file and returns a function that makes a
// worker's process.
func (t *trialRun) command() (func(redis, api string) *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, exit.Unreachablef("prove: finding this program, to start workers: %w", err)
	}
	file := filepath.Join(t.dir, "camsq.yaml")
	text := "accounts:\n- name: " + t.account() + "\n  access_key_id_env: PROVE_KEY_ID\n  access_key_secret_env: PROVE_KEY_SECRET\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, exit.Unreachablef("prove: %w", err)
	}
	env := []string{
		"PROVE_KEY_ID=" + proveKeyID, "PROVE_KEY_SECRET=" + proveKeySecret,
		"CAMSQ_CONFIG=" + file,
		"CAMSQ_LISTEN=127.0.0.1:0",
		"CAMSQ_DATA_KEY=" + t.app.Config.DataKeys,
		"CAMSQ_KEEP=" + t.app.Config.Keep.String(),
		"CAMSQ_CALLBACK_URL=" + t.observer.CallbackURL,
		"CAMSQ_CALLBACK_SECRET=" + t.observer.CallbackSecret,
		"CAMSQ_CALLBACK_ALLOW_PRIVATE=true",
		fmt.Sprintf("CAMSQ_RATE=%g", t.rate()),
		"CAMSQ_CALL_TIMEOUT=" + proveCallTimeout.String(),
		"CAMSQ_RETRY_MIN=100ms", "CAMSQ_RETRY_MAX=1s",
		fmt.Sprintf("CAMSQ_MAX_TRIES=%d", proveMaxTries),
		"CAMSQ_RECONCILE_DELAY=" + proveReconcile.String(),
		"CAMSQ_SETTLE_WINDOW=" + t.settleWindow().String(),
	}
	env = append(env, testbed.WithoutSettings(t.env)...)
	return func(redis, api string) *exec.Cmd {
		cmd := exec.Command(self, "worker")
		cmd.Env = append(append([]string(nil), env...), "CAMSQ_REDIS_URL="+redis, "CAMSQ_ENDPOINT="+api)
		return cmd
	}, nil
}

// stopTime is longer than a worker may take to stop: a call, and settling it twice.
const stopTime = proveCallTimeout + 40*time.Second

// hangTime is how long after the last fault every job must have ended. A webhook that
// failed twice waits for 5 minutes.
const hangTime = 10 * time.Minute

// runChaos sends the jobs, applies the faults, and returns when every job has ended and
// its webhook is delivered. unfinished says why it returned before that, other than for
// --stop-after.
func (t *trialRun) runChaos(ctx context.Context, plan []fault) (unfinished string) {
	limit := t.chaos() + time.Duration(t.Stops)*freezeMax + t.Away + hangTime
	if t.StopAfter > 0 {
		limit = t.StopAfter
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var busy sync.WaitGroup
	busy.Go(func() { t.send(limited) })
	for _, f := range plan {
		busy.Go(func() {
			if sleep(limited, f.at) {
				t.pool.apply(limited, f)
			}
		})
	}
	quiet := make(chan struct{})
	go func() { busy.Wait(); close(quiet) }()
	t.watch(limited, quiet)
	<-quiet
	switch {
	case ctx.Err() != nil:
		return "the trial was stopped before its end"
	case limited.Err() != nil && t.StopAfter == 0:
		return fmt.Sprintf("%v after the last fault, some jobs have not ended", hangTime)
	}
	return ""
}

// watch prints the progress, and returns when every job is done and quiet is closed.
func (t *trialRun) watch(ctx context.Context, quiet <-chan struct{}) {
	const every = 10 * time.Second
	said := time.Now()
	for sleep(ctx, 500*time.Millisecond) {
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		o, err := t.app.Ledger.Overview(short, t.account())
		cancel()
		if err != nil {
			continue // Redis is away, as planned
		}
		open := o.Jobs[tasks.StateQueued] + o.Jobs[tasks.StateCalling] + o.Jobs[tasks.StateUncertain]
		if time.Since(said) >= every {
			said = time.Now()
			t.say("%s; %s owed", inspect.StateCounts(o.Jobs), humanize.Plural(o.PendingCallbacks, "callback"))
		}
		select {
		case <-quiet:
			if open == 0 && o.PendingCallbacks == 0 {
				return
			}
		default:
		}
	}
}

// takeSnapshot takes the snapshot that verify checks.
func (t *trialRun) takeSnapshot(ctx context.Context) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	s := snapshot{
		instances: asked(t.observer.CAMS.Creates()), violations: t.observer.CAMS.Violations(),
		events: t.observer.eventsByJob(), webhooks: t.observer.Receiver.Counts(), crashes: append(t.refused, t.pool.crashes...),
	}
	for start := 0; start < len(t.sent); start += inspect.PageSize {
		jobs := t.sent[start:min(start+inspect.PageSize, len(t.sent))]
		ids := make([]string, len(jobs))
		for i, job := range jobs {
			ids[i] = job.ID
		}
		page, err := t.app.Ledger.GetMany(ctx, t.account(), ids)
		if err != nil {
			return s, t.unreadable(err)
		}
		for i, found := range page {
			// For a job whose producer got no answer, the ledger says whether it was accepted.
			if start+i < t.acknowledged || !inspect.IsNotFound(found.Err) {
				s.jobs, s.records = append(s.jobs, jobs[i]), append(s.records, found)
			}
		}
	}
	o, err := t.app.Ledger.Overview(ctx, t.account())
	if err != nil {
		return s, t.unreadable(err)
	}
	s.counters = o.Jobs
	return s, nil
}

// asked returns the instances under the names that the calls asked for.
func asked(creates []camstest.Create) []cams.Instance {
	list := make([]cams.Instance, len(creates))
	for i, c := range creates {
		list[i] = c.Instance
		list[i].InstanceName = c.Requested
	}
	return list
}

// unreadable wraps an error of reading the ledger, with the crashes that may have caused it.
func (t *trialRun) unreadable(err error) error {
	for _, c := range t.pool.crashes {
		err = fmt.Errorf("%w; %s", err, c)
	}
	return exit.Unreachablef("prove: reading the ledger: %w", err)
}

// say prints a line of progress, with the time since the start.
func (t *trialRun) say(format string, args ...any) {
	if t.Quiet {
		return
	}
	t.sayMu.Lock()
	defer t.sayMu.Unlock()
	d := int(time.Since(t.observer.begun).Seconds())
	fmt.Fprintf(t.log, "%02d:%02d  %s\n", d/60, d%60, fmt.Sprintf(format, args...))
}

// sleep waits for d, and returns false if ctx ends before that.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
