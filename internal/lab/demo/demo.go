package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/lab/testbed"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

const (
	demoWorkers = 2
	demoRate    = 5.0
	// demoMost bounds the jobs to what the embedded Redis processes while a newcomer watches.
	demoMost = 1000
	// demoPause is the retry-after of the throttled call.
	demoPause = time.Second
	// demoSettle is the settle window; a real worker has 3 minutes.
	demoSettle = 4 * time.Second
	// demoLag is how long ListInstance does not show a new instance: less than
	// demoSettle, as at the real API.
	demoLag = 1500 * time.Millisecond
)

// demo is the state of one demonstration.
type demo struct {
	out   io.Writer
	log   *slog.Logger
	file  string
	rows  []fileRow
	cut   bool        // the file has more jobs than demoMost
	jobs  []tasks.Job // those that were queued
	begun time.Time

	bed       *testbed.Testbed
	keys      map[string]string // access key secrets by ID, one for each account
	config    config.Config
	apps      []*app.App
	metrics   []*prometheus.Registry
	scenarios scenarios
	recorder  recorder
}

// fileRow is one row of the file: a job, or the error that says why it is not.
type fileRow struct {
	line int
	job  tasks.Job
	err  error
}

// Run imports the CSV or XLSX file raw, named file in messages, runs it to the end and
// writes the report to out and the workers' logs to log. The error says whether the file
// was unusable, a part could not start, or a promise was broken.
func Run(ctx context.Context, out io.Writer, log *slog.Logger, file string, raw []byte) error {
	d := &demo{out: out, log: log, file: file}
	if err := d.read(raw); err != nil {
		return err
	}
	redis := miniredis.NewMiniRedis() // without ClockTTL, which is slow: a demo ends before a key expires
	if err := redis.StartAddr("127.0.0.1:0"); err != nil {
		return exit.Unreachablef("demo: starting the embedded Redis: %w", err)
	}
	defer redis.Close()
	if err := d.startTestbed(); err != nil {
		return err
	}
	defer d.bed.Close()
	d.configure("redis://" + redis.Addr())
	for range demoWorkers {
		a, err := app.Open(d.config)
		if err != nil {
			return err
		}
		defer a.Close()
		d.apps = append(d.apps, a)
	}
	d.introduce()
	if err := d.enqueue(ctx); err != nil {
		return err
	}
	if err := d.runWorkers(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		d.say("\nStopped before the end; nothing is left behind.")
		return exit.ErrSomeFailed
	}
	return d.report()
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// read takes the file's rows into memory, up to demoMost jobs.
func (d *demo) read(raw []byte) error {
	jobs := 0
	for row, err := range rowfile.Read(bytes.NewReader(raw), rowfile.Options{File: d.file, Batch: "demo"}) {
		if fatal, ok := errors.AsType[*rowfile.FileError](err); ok {
			return exit.Usagef("%w", fatal)
		}
		// The demo sends nothing to a receiver that the file names.
		row.Job.CallbackURL = ""
		d.rows = append(d.rows, fileRow{row.Line, row.Job, err})
		if err == nil {
			jobs++
		}
		if d.cut = jobs == demoMost; d.cut {
			break
		}
	}
	if jobs == 0 {
		return exit.Usagef("none of the %d rows of %s is a job; the first: %w", len(d.rows), d.file, d.rows[0].err)
	}
	d.scenarios = newScenarios(d.rows)
	return nil
}

// accounts returns the accounts of the file.
func (d *demo) accounts() []string {
	var names []string
	for _, r := range d.rows {
		if r.err == nil && !slices.Contains(names, r.job.Account) {
			names = append(names, r.job.Account)
		}
	}
	return names
}

// rate is each account's creates per second: demoRate, or more for a long file.
func (d *demo) rate() float64 {
	return max(demoRate, float64(len(d.rows)/8))
}

// quota is the API's creates per second, a little more than the workers' rate.
func (d *demo) quota() int {
	rate := int(d.rate())
	return rate + max(1, rate/5)
}

func keyID(account string) string { return "demo-" + account }

func (d *demo) startTestbed() (err error) {
	d.keys = map[string]string{}
	for _, name := range d.accounts() {
		d.keys[keyID(name)] = seal.NewKey()
	}
	d.bed, err = testbed.Start(testbed.Config{
		CAMS: camstest.Config{
			Keys: d.keys, Quota: d.quota(), Latency: 40 * time.Millisecond, ListLag: demoLag,
			OnRequest: func(op string, params url.Values) {
				if op == "ListInstance" && params.Get("PageIndex") == "1" {
					d.recorder.lookup(params.Get("InstanceName"))
				}
			},
		},
		Fail: d.scenarios.failsOnce(), OnEvent: d.recorder.webhook,
	})
	if err != nil {
		return exit.Unreachablef("demo: %w", err)
	}
	for _, a := range d.scenarios.list {
		if a.fault != nil {
			d.bed.CAMS.FailName(a.job.Request.InstanceName, *a.fault)
		}
	}
	return nil
}

// configure sets what CAMSQ_ variables set for a real worker. The environment is not read.
func (d *demo) configure(redisURL string) {
	c := &d.config
	c.RedisURL, c.Listen, c.Keep, c.DataKeys = redisURL, "127.0.0.1:0", time.Hour, seal.NewKey()
	c.CallTimeout, c.RetryMin, c.RetryMax = 5*time.Second, 500*time.Millisecond, 5*time.Second
	c.MaxTries, c.MaxAge = 10, time.Hour
	c.ReconcileDelay, c.SettleWindow = time.Second, demoSettle
	c.Absent, c.Existing = worker.NotFoundResend, worker.ExistingFail
	c.CallbackSecret, c.CallbackAllowPrivate = d.bed.CallbackSecret, true
	for _, name := range d.accounts() {
		c.Accounts = append(c.Accounts, config.Account{
			Name: name, Endpoint: d.bed.CAMS.URL(), Region: cams.DefaultRegion, Rate: d.rate(), Concurrency: 32,
			CallbackURL: d.bed.CallbackURL, KeyID: "ID_" + name, KeySecret: "SECRET_" + name,
		})
	}
}

// env is the environment in which the accounts' keys are looked up.
func (d *demo) env() []string {
	var env []string
	for _, name := range d.accounts() {
		env = append(env, "ID_"+name+"="+keyID(name), "SECRET_"+name+"="+d.keys[keyID(name)])
	}
	return env
}

func (d *demo) introduce() {
	at := func(what, where, text string) { d.say("  %-9s %-24s %s", what, where, text) }
	d.say("This demo runs in one process, on this machine alone: its own Redis, a fake API, a webhook")
	d.say("receiver and two workers. It reads none of your settings and needs no credentials.")
	d.say("")
	at("Redis", d.config.RedisHost(), "embedded (miniredis)")
	at("CAMS", d.bed.CAMS.URL(), fmt.Sprintf("fake API: checks signatures, allows %d creates a second,", d.quota()))
	at("", "", "and fails a few calls on purpose")
	at("receiver", d.config.Accounts[0].CallbackURL, "verifies the signature of each webhook")
	at("worker 1", "", "the two share one rate limit: together at")
	at("worker 2", "", fmt.Sprintf("most %g creates a second for each account", d.rate()))
	d.say("")
	d.say("  After a call without a clear answer, a worker looks the instance up. Only when it is still")
	d.say("  missing at the end of the settle window is the call repeated: %g s here, 3 minutes by default.", demoSettle.Seconds())
}

// enqueue imports the rows, and prints why a row was not queued.
func (d *demo) enqueue(ctx context.Context) error {
	d.begun = time.Now()
	d.recorder.start(d.begun)
	var notes []string
	next, firstLine := 0, map[tasks.Ref]int{}
	sum, err := d.apps[0].Client.CreateAll(ctx, d.sequence(), func(r enqueue.Result) {
		row := d.rows[next]
		next++
		switch r.Status {
		case enqueue.StatusQueued:
			d.jobs = append(d.jobs, r.Job)
			firstLine[r.Job.Ref()] = row.line
		case enqueue.StatusKnown:
			notes = append(notes, fmt.Sprintf("%s:%d: the same job as line %d; it is queued once", d.file, row.line, firstLine[r.Job.Ref()]))
		case enqueue.StatusConflict:
			notes = append(notes, fmt.Sprintf("%s:%d: the job of line %d with a different request; it is rejected", d.file, row.line, firstLine[r.Job.Ref()]))
		case enqueue.StatusInvalid, enqueue.StatusUnreadable:
			notes = append(notes, r.Err.Error())
		}
	})
	if err != nil {
		return exit.Unreachablef("demo: %w", err)
	}
	d.say("")
	d.say("Import of %s", d.file)
	d.say("  %s: %d queued, %s, %d rejected", humanize.Plural(int64(len(d.rows)), "row"), sum.Queued, humanize.Plural(int64(sum.Known), "duplicate"), sum.Invalid+sum.Conflict+sum.Unreadable)
	const most = 10
	for _, note := range notes[:min(len(notes), most)] {
		d.say("  %s", note)
	}
	if more := len(notes) - most; more > 0 {
		d.say("  … and %d more", more)
	}
	if d.cut {
		d.say("  (the demo imports the first %d jobs of a file)", demoMost)
	}
	return nil
}

func (d *demo) sequence() iter.Seq2[tasks.Job, error] {
	return func(yield func(tasks.Job, error) bool) {
		for _, r := range d.rows {
			if !yield(r.job, r.err) {
				return
			}
		}
	}
}

// runWorkers runs the workers until every job has ended and its webhook is delivered, ctx
// ends, or a limit well above the expected time has passed.
func (d *demo) runWorkers(ctx context.Context) error {
	limit := time.Minute + 3*time.Duration(float64(len(d.jobs))/d.rate()*float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	errs := make([]error, len(d.apps))
	var working sync.WaitGroup
	for i, a := range d.apps {
		registry := prometheus.NewRegistry()
		d.metrics = append(d.metrics, registry)
		working.Go(func() {
			defer cancel() // when one worker ends, so does the demo
			errs[i] = a.RunWorker(ctx, app.WorkerOptions{
				Log: d.log.With("worker", i+1), Env: d.env(), Registry: registry, Attempt: d.recorder.attempt,
			})
		})
	}
	d.say("")
	d.say("Working")
	d.watch(ctx)
	cancel()
	working.Wait()
	return errors.Join(errs...)
}

// watch prints the progress, at most once a second, until every job is done.
func (d *demo) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	said, saidAt, width := "", time.Time{}, len(fmt.Sprint(len(d.jobs)))
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		jobs, owed, err := d.overview(ctx)
		if err != nil {
			continue // ctx has ended, or a worker fails with the reason
		}
		open := jobs[tasks.StateQueued] + jobs[tasks.StateCalling] + jobs[tasks.StateUncertain]
		done := open == 0 && owed == 0
		line := fmt.Sprintf("%*d created  %*d waiting  %*d uncertain  %*d webhooks delivered",
			width, jobs[tasks.StateCreated], width, jobs[tasks.StateQueued]+jobs[tasks.StateCalling],
			width, jobs[tasks.StateUncertain], width, int64(len(d.jobs))-open-owed)
		if now := time.Now(); done || line != said && now.Sub(saidAt) >= time.Second {
			d.say("  %5.1f s  %s", now.Sub(d.begun).Seconds(), line)
			said, saidAt = line, now
		}
		if done {
			return
		}
	}
}

// overview counts the jobs of all accounts by state, and the webhooks not yet delivered.
func (d *demo) overview(ctx context.Context) (map[tasks.State]int64, int64, error) {
	jobs, owed := map[tasks.State]int64{}, int64(0)
	for _, name := range d.config.Names() {
		o, err := d.apps[0].Ledger.Overview(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		for s, n := range o.Jobs {
			jobs[s] += n
		}
		owed += o.PendingCallbacks
	}
	return jobs, owed, nil
}
