package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// proveOptions are what a user can choose.
type proveOptions struct {
	jobs, kills, workers, stops int
	seed                        uint64
	faults                      float64
	redis                       string
	keep                        bool
	keepLogs                    string
	stopAfter                   time.Duration
	json, quiet                 bool
	oddList                     string
	oddities                    []oddity // of oddList
	away                        time.Duration
}

// ownRedis says that the proof brings its own redis-server.
const ownRedis = "auto"

func (p *program) proveCommand() *cobra.Command {
	var o proveOptions
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Kill, freeze and cut off workers and Redis, and count what came of the jobs",
		Long: `prove puts camsq's promise to the test on this machine: each job creates at most one
instance, ends in one recorded outcome, and the outcome reaches the webhook.

It starts a redis-server that writes through to the disk, worker processes, a stand-in for
the cloud that misbehaves, and a webhook receiver that fails; then it kills and freezes
workers, kills Redis, and cuts the wires between them. In the end it holds the ledger
against what the cloud and the receiver have seen. No setting of yours is used and no real
cloud is touched.

With --redis URL it works on a database of your own Redis, which must hold no camsq jobs. It
then kills no Redis, but cuts the wires to it, and takes away its keys in the end.

The exit code is 0 only if nothing was created twice, nothing was lost, and the books balance.
A job whose call had a doubtful answer may end held, for a person; then its instance, if
there is one, must be among the candidates, and no other job's.
The same seed gives the same plan and the same faults; what they hit depends on the machine.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var foreign error
			cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
				if f.Changed {
					foreign = usage("prove takes no --%s: it uses no setting of yours; its own flags are in camsq prove --help", f.Name)
				}
			})
			if foreign != nil {
				return foreign
			}
			if o.seed == 0 {
				o.seed = rand.Uint64N(1<<32) + 1
			}
			if err := o.validate(); err != nil {
				return err
			}
			var err error
			if o.oddities, err = parseOddities(o.oddList); err != nil {
				return err
			}
			o.keepLogs = p.dir.path(o.keepLogs)
			return runProof(cmd.Context(), o, p.env, p.stdout, p.stderr)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.jobs, "jobs", 1000, "jobs to send")
	f.IntVar(&o.kills, "kills", 15, "times that a worker is killed (kill -9)")
	f.IntVar(&o.stops, "stops", 2, "times that a worker is frozen for longer than its lease (SIGSTOP)")
	f.IntVar(&o.workers, "workers", 3, "worker processes")
	f.Float64Var(&o.faults, "faults", 0.2, "share of calls and of webhooks that go wrong, 0 to 0.9")
	f.StringVar(&o.oddList, "odd", defaultOddities, "what else the cloud does: `names` (kept otherwise), codes, pages, contradictions; several with commas, all, or none")
	f.DurationVar(&o.away, "away", 0, "for so long the cloud cannot be reached, once")
	f.Uint64Var(&o.seed, "seed", 0, "of the plan and the faults (default random)")
	f.StringVar(&o.redis, "redis", ownRedis, "auto: a redis-server from the PATH; or the `URL` of an empty database")
	f.BoolVar(&o.keep, "keep", false, "with --redis URL: leave the keys there")
	f.StringVar(&o.keepLogs, "keep-logs", "", "keep the logs in a folder of this `directory`")
	f.DurationVar(&o.stopAfter, "stop-after", 0, "end after this `time`; jobs that have not ended by then count as in flight")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	f.BoolVar(&o.quiet, "quiet", false, "say nothing until the result")
	return cmd
}

func (o proveOptions) validate() error {
	switch {
	case o.jobs < 1 || o.jobs > 1_000_000:
		return usage("prove: --jobs %d is not from 1 to 1,000,000", o.jobs)
	case o.workers < 1 || o.workers > 20:
		return usage("prove: --workers %d is not from 1 to 20", o.workers)
	case o.kills < 0 || o.stops < 0 || o.stopAfter < 0 || o.away < 0:
		return usage("prove: no number may be negative")
	case !(o.faults >= 0 && o.faults <= 0.9):
		return usage("prove: --faults %v is not from 0 to 0.9", o.faults)
	}
	return nil
}

func (o proveOptions) account() string { return fmt.Sprintf("prove-%d", o.seed) }

// chaos is how long things go wrong.
func (o proveOptions) chaos() time.Duration {
	return max(10*time.Second, time.Duration(o.kills)*killPause)
}

// rate is the creates a second: such that there is work for as long as things go wrong.
func (o proveOptions) rate() float64 {
	return max(5, 1.5*float64(o.jobs)/o.chaos().Seconds())
}

func (o proveOptions) patience() time.Duration {
	if o.stops > 0 {
		return frozenPatience
	}
	return provePatience
}

// proof is one run.
type proof struct {
	proveOptions
	env      []string
	out, log io.Writer
	dir      string // its own, for Redis's files and, unless kept, the logs
	logs     string
	redis    *proveRedis
	node     *node
	witness  *witness
	crew     *crew
	secret   string

	sayMu sync.Mutex
	sent  []tasks.Job
	sure  int // so many of them were acknowledged
	odd   []string

	failed bool // something is not as promised: everything is kept
}

// runProof makes a proof and writes its report to out and its progress to log.
func runProof(ctx context.Context, o proveOptions, env []string, out, log io.Writer) (err error) {
	f := &proof{proveOptions: o, env: env, out: out, log: log, secret: callback.NewSecret()}
	if f.dir, err = os.MkdirTemp("", "camsq-prove-"); err != nil {
		return unreachable("prove: %w", err)
	}
	defer func() {
		if !f.failed {
			_ = os.RemoveAll(f.dir)
		}
	}()
	f.logs = f.dir
	if o.keepLogs != "" {
		f.logs = filepath.Join(o.keepLogs, f.account())
		if err := os.MkdirAll(f.logs, 0o700); err != nil {
			return usage("prove: --keep-logs: %w", err)
		}
	}

	if o.redis == ownRedis {
		if f.redis, err = startRedis(ctx, f.dir, f.logs); err != nil {
			return err
		}
		defer func() { f.redis.server.kill() }()
	} else if f.redis, err = usersRedis(o.redis); err != nil {
		return err
	}
	keys, err := callback.ParseSecrets(f.secret)
	if err != nil {
		return err
	}
	if f.witness, err = startWitness(o, keys); err != nil {
		return err
	}
	defer f.witness.close()
	if f.node, err = newNode(f.config()); err != nil {
		return err
	}
	defer f.node.close()
	if err := claimRedis(ctx, f.node); err != nil {
		return err
	}
	return f.run(ctx)
}

// config is the proof's own hold on Redis: past the proxies, since it is a witness.
func (f *proof) config() config {
	return config{
		RedisURL: f.redis.url, Keep: 24 * time.Hour, DataKeys: seal.NewKey(), CallbackAllowPrivate: true,
		Accounts: []account{{Name: f.account()}},
	}
}

// run is a proof whose Redis and witnesses stand.
func (f *proof) run(ctx context.Context) error {
	if f.redis.server == nil && !f.keep {
		defer func() {
			var pids []int
			if f.crew != nil {
				pids = f.crew.pids
			}
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if err := cleanRedis(clean, f.node.rdb, f.account(), pids); err != nil {
				fmt.Fprintln(f.log, "camsq:", err)
			}
		}()
	}
	command, err := f.command()
	if err != nil {
		return err
	}
	plan := makePlan(f.proveOptions, f.redis.server != nil)
	f.say("%s, %s, %s, seed %d; logs in %s", plural(int64(f.jobs), "job"), plural(int64(f.workers), "worker"), plural(int64(len(plan)), "mishap"), f.seed, f.logs)
	cloud, err := url.Parse(f.witness.cloud.URL())
	if err != nil {
		return err
	}
	dialCloud := func() (net.Conn, error) { return net.DialTimeout("tcp", cloud.Host, 5*time.Second) }
	if f.crew, err = newCrew(f.proveOptions, f.logs, f.redis, dialCloud, command, f.say); err != nil {
		return err
	}
	defer f.crew.close()
	f.crew.cloud = f.witness.cloud

	over := f.torment(ctx, plan)
	f.crew.stop(stopTime)
	e, err := f.gather(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	books := judge(e)
	if over != "" {
		books.find("", "%s", over)
	}
	return f.report(e, books)
}

// command writes the workers' configuration, and returns what makes their processes.
func (f *proof) command() (func(redis, cloud string) *exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, unreachable("prove: finding this program, to start workers: %w", err)
	}
	file := filepath.Join(f.dir, "camsq.yaml")
	text := "accounts:\n- name: " + f.account() + "\n  access_key_id_env: PROVE_KEY_ID\n  access_key_secret_env: PROVE_KEY_SECRET\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, unreachable("prove: %w", err)
	}
	env := []string{
		"PROVE_KEY_ID=" + proveKeyID, "PROVE_KEY_SECRET=" + proveKeySecret,
		"CAMSQ_CONFIG=" + file,
		"CAMSQ_LISTEN=127.0.0.1:0",
		"CAMSQ_DATA_KEY=" + f.node.config.DataKeys,
		"CAMSQ_KEEP=" + f.node.config.Keep.String(),
		"CAMSQ_CALLBACK_URL=" + f.witness.hookURL,
		"CAMSQ_CALLBACK_SECRET=" + f.secret,
		"CAMSQ_CALLBACK_ALLOW_PRIVATE=true",
		fmt.Sprintf("CAMSQ_RATE=%g", f.rate()),
		"CAMSQ_CALL_TIMEOUT=" + proveCallTimeout.String(),
		"CAMSQ_RETRY_MIN=100ms", "CAMSQ_RETRY_MAX=1s",
		fmt.Sprintf("CAMSQ_MAX_TRIES=%d", proveMaxTries),
		"CAMSQ_RECONCILE_DELAY=" + proveReconcile.String(),
		"CAMSQ_SETTLE_WINDOW=" + f.patience().String(),
	}
	for _, pair := range f.env {
		if !strings.HasPrefix(pair, "CAMSQ_") && !strings.HasPrefix(pair, "ALIBABA_CLOUD_") {
			env = append(env, pair)
		}
	}
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

// torment sends the jobs, lets the mishaps happen, and returns when every job has
// ended and is told. over says why it returned before that, unless the user wants so.
func (f *proof) torment(ctx context.Context, plan []mishap) (over string) {
	limit := f.chaos() + time.Duration(f.stops)*freezeMax + f.away + hangTime
	if f.stopAfter > 0 {
		limit = f.stopAfter
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var busy sync.WaitGroup
	busy.Go(func() { f.send(limited) })
	for _, m := range plan {
		busy.Go(func() {
			if sleep(limited, m.at) {
				f.crew.suffer(limited, m)
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
	case limited.Err() != nil && f.stopAfter == 0:
		return fmt.Sprintf("%v after the last mishap there are jobs that have not ended", hangTime)
	}
	return ""
}

// watch says once in a while how far it is, and returns when all is done.
func (f *proof) watch(ctx context.Context, quiet <-chan struct{}) {
	const every = 10 * time.Second
	said := time.Now()
	for sleep(ctx, 500*time.Millisecond) {
		look, cancel := context.WithTimeout(ctx, 2*time.Second)
		o, err := f.node.ledger.Overview(look, f.account())
		cancel()
		if err != nil {
			continue // Redis is away, as planned
		}
		open := o.Jobs[tasks.StateQueued] + o.Jobs[tasks.StateCalling] + o.Jobs[tasks.StateUncertain]
		if time.Since(said) >= every {
			said = time.Now()
			f.say("%s; %s owed", tally(o.Jobs), plural(o.Owed, "callback"))
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

// The jobs are sent in waves, so that producers, too, meet a Redis that is away.
const waves = 20

// cancelShare of the jobs are withdrawn as soon as they are sent, where that still works.
const cancelShare = 0.01

// send sends the jobs, each wave until it is accepted.
func (f *proof) send(ctx context.Context) {
	channels := []string{"WHATSAPP", "MESSENGER", "INSTAGRAM", "VIBER"}
	for wave := range waves {
		var jobs []tasks.Job
		for i := f.jobs * wave / waves; i < f.jobs*(wave+1)/waves; i++ {
			jobs = append(jobs, tasks.Job{
				ID: fmt.Sprintf("%s-%06d", f.account(), i), Account: f.account(), Batch: fmt.Sprintf("wave-%02d", wave),
				Request: tasks.Request{ChannelType: channels[i%len(channels)], InstanceName: f.name(i)},
			}.Normalize())
		}
		f.sent = append(f.sent, jobs...)
		begun := time.Now()
		for !f.sendWave(ctx, jobs) {
			if !sleep(ctx, 300*time.Millisecond) {
				return
			}
		}
		f.sure = len(f.sent)
		f.withdraw(ctx, jobs)
		if !sleep(ctx, f.chaos()*6/10/waves-time.Since(begun)) {
			return
		}
	}
}

// sendWave sends jobs that may have been sent before, and says whether Redis answered.
func (f *proof) sendWave(ctx context.Context, jobs []tasks.Job) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := f.node.client.CreateAll(ctx, func(yield func(tasks.Job, error) bool) {
		for _, job := range jobs {
			if !yield(job, nil) {
				return
			}
		}
	}, func(r enqueue.Result) {
		if r.Err != nil {
			f.odd = append(f.odd, "a job was refused: "+r.Err.Error())
		}
	})
	return err == nil
}

// withdraw cancels a few of the jobs, where that still works; the ledger tells.
func (f *proof) withdraw(ctx context.Context, jobs []tasks.Job) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, job := range jobs {
		if !share(f.seed, "cancel "+job.ID, cancelShare) {
			continue
		}
		if r, err := f.node.ledger.Get(ctx, job.Ref()); err == nil && r.State == tasks.StateQueued {
			r.Code = tasks.CodeCancelled
			_, _ = f.node.ledger.Step(ctx, r, tasks.StepCancel, 0)
		}
	}
}

// gather collects the evidence.
func (f *proof) gather(ctx context.Context) (evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	e := evidence{
		instances: asked(f.witness.cloud.Creates()), complaints: f.witness.cloud.Violations(),
		events: f.witness.eventsByJob(), webhooks: f.witness.receiver.counted(), crashes: append(f.odd, f.crew.crashes...),
	}
	for begin := 0; begin < len(f.sent); begin += pageSize {
		jobs := f.sent[begin:min(begin+pageSize, len(f.sent))]
		ids := make([]string, len(jobs))
		for i, job := range jobs {
			ids[i] = job.ID
		}
		page, err := f.node.ledger.GetMany(ctx, f.account(), ids)
		if err != nil {
			return e, f.unreadable(err)
		}
		for i, found := range page {
			// Whether a job was accepted whose sender got no answer, the ledger says.
			if begin+i < f.sure || !isNotFound(found.Err) {
				e.jobs, e.records = append(e.jobs, jobs[i]), append(e.records, found)
			}
		}
	}
	o, err := f.node.ledger.Overview(ctx, f.account())
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
func (f *proof) unreadable(err error) error {
	for _, c := range f.crew.crashes {
		err = fmt.Errorf("%w; %s", err, c)
	}
	return unreachable("prove: reading the ledger: %w", err)
}

// say prints a line of the course of things.
func (f *proof) say(format string, args ...any) {
	if f.quiet {
		return
	}
	f.sayMu.Lock()
	defer f.sayMu.Unlock()
	d := int(time.Since(f.witness.begun).Seconds())
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
