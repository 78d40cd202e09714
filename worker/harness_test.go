package worker_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// cluster is what the processes of a test share: one Redis, one cloud, one
// receiver of callbacks. It belongs into a bubble: its time is virtual, and its
// connections are pipes.
type cluster struct {
	t        *testing.T
	mini     *miniredis.Miniredis
	rdb      *redis.Client // the test's own
	cloud    *camstest.Server
	keys     string
	producer *enqueue.Client
	queue    *queue.Client
	ledger   *ledger.Ledger
	inspect  *asynq.Inspector
	receiver *fakeReceiver
	log      *lockedBuffer
}

const account = "acme"

func newCluster(t *testing.T, c camstest.Config) *cluster {
	t.Helper()
	w := &cluster{t: t, cloud: camstest.New(c), keys: enqueue.NewDataKey(), receiver: newFakeReceiver(), log: new(lockedBuffer)}
	w.mini, w.rdb = redistest.Mini(t)
	w.inspect = asynq.NewInspectorFromRedisClient(w.rdb)
	var err error
	w.queue, w.ledger = w.open(w.rdb)
	if w.producer, err = enqueue.NewOn(w.queue, enqueue.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.cloud.Close()
		if v := w.cloud.Violations(); len(v) > 0 {
			t.Errorf("the cloud saw what no client should send: %q", v)
		}
		if t.Failed() {
			t.Logf("the cloud's seed: %d; the log:\n%s", w.cloud.Seed(), w.log)
		}
	})
	return w
}

// open opens what stands in Redis.
func (w *cluster) open(rdb redis.UniversalClient) (*queue.Client, *ledger.Ledger) {
	w.t.Helper()
	ring, err := seal.ParseKeys(w.keys)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := ledger.New(ledger.Config{Redis: rdb, Keys: ring})
	if err != nil {
		w.t.Fatal(err)
	}
	q, err := queue.New(rdb, l)
	if err != nil {
		w.t.Fatal(err)
	}
	return q, l
}

// enqueue sends jobs whose instances have the jobs' names.
func (w *cluster) enqueue(ids ...string) { w.t.Helper(); w.send(tasks.PriorityNormal, ids...) }

// enqueueHigh sends urgent ones.
func (w *cluster) enqueueHigh(ids ...string) { w.t.Helper(); w.send(tasks.PriorityHigh, ids...) }

func (w *cluster) send(p tasks.Priority, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		_, err := w.producer.Create(w.t.Context(), tasks.Job{
			ID: id, Account: account, CallbackURL: "https://example.com/hook", Priority: p,
			Request: tasks.Request{ChannelType: "VIBER", InstanceName: id, ContactMail: "ana@example.com"},
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *cluster) record(id string) tasks.Record {
	w.t.Helper()
	r, err := w.ledger.Get(w.t.Context(), tasks.Ref{Account: account, ID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// await waits in virtual time.
func (w *cluster) await(what string, limit time.Duration, reached func() bool) {
	w.t.Helper()
	for start := time.Now(); !reached(); {
		waited := time.Since(start)
		if waited > limit {
			w.t.Fatalf("after %v: not yet %s", limit, what)
		}
		time.Sleep(time.Second + waited/20) // each look is real time
	}
}

// awaitEnd waits until each job has ended and its receiver knows.
func (w *cluster) awaitEnd(limit time.Duration, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.await("the end of "+id, limit, func() bool {
			r := w.record(id)
			return (r.State.Final() || r.State == tasks.StateHeld) && r.Callback.State == tasks.CallbackDelivered
		})
	}
}

// wantCreated holds each job against the promise: one instance, recorded as
// its own, and told.
func (w *cluster) wantCreated(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		r := w.record(id)
		if n := w.cloud.Created(id); n != 1 || r.State != tasks.StateCreated {
			w.t.Errorf("job %s is %s (%s %s), and there are %d instances, want one", id, r.State, r.Code, r.Message, n)
			continue
		}
		for _, i := range w.cloud.Instances() {
			if i.InstanceName == id && i.InstanceID != r.Instance.InstanceID {
				w.t.Errorf("job %s has the instance %s, and its instance is %s", id, r.Instance.InstanceID, i.InstanceID)
			}
		}
		if w.receiver.received(id) == 0 {
			w.t.Errorf("nobody was told of job %s", id)
		}
	}
}

// process is a worker process: its own connections, its own servers.
type process struct {
	*worker.Worker
	cluster    *cluster
	redis, api *network
	// ledgerRedis is its connection to Redis for all but the queue.
	ledgerRedis *redis.Client
	// commands halts what the process sends to Redis.
	commands *freezer
	cancel   context.CancelFunc
	ended    chan struct{}
}

// setup is what a test may change of a process before it starts.
type setup struct {
	worker.Config
	// asynq changes the servers' settings.
	asynq func(*asynq.Config)
	// sweep and reconcile are the times between two sweeps and two looks for doubts.
	sweep, reconcile time.Duration
	// bare leaves out the hook that lets asynq's bookkeeping finish.
	bare bool
	// hooks see each command that the queue sends, as the innermost.
	hooks []redis.Hook
}

// start starts a process. It is stopped when the test ends.
func (w *cluster) start(changes ...func(*process, *setup)) *process {
	w.t.Helper()
	p := &process{cluster: w, redis: new(network), api: new(network), commands: new(freezer), ended: make(chan struct{})}
	rdb, queue := w.client(p.redis), w.client(p.redis)
	rdb.AddHook(p.commands)
	p.ledgerRedis = rdb
	client, store := w.open(rdb)
	limits := ratelimit.New(rdb, ratelimit.Config{})
	clientConfig := w.cloud.ClientConfig("")
	dial := clientConfig.DialContext
	clientConfig.DialContext = func(ctx context.Context, tcp, address string) (net.Conn, error) {
		return p.api.dial(func() (net.Conn, error) { return dial(ctx, tcp, address) })
	}
	api, err := cams.New(clientConfig)
	if err != nil {
		w.t.Fatal(err)
	}
	s := setup{Config: worker.Config{
		Lanes: []worker.Lane{{
			Account: account, API: api, Rate: 50,
			Create: limits.Bucket(ledger.LimitKey(account, "CreateInstance"), ratelimit.Limit{Rate: 50, Burst: 10}),
			List:   limits.Bucket(ledger.LimitKey(account, "ListInstance"), ratelimit.Limit{Rate: 50, Burst: 10}),
		}},
		Store: store, Queue: client, Breaker: store, Sender: w.receiver, Schedule: threeTries,
		Watcher:   queueWatcher{store, client, queue},
		Leases:    client,
		PollEvery: 2 * time.Second, // each look is real time
		Log:       slog.New(slog.NewTextHandler(w.log, nil)),
	}}
	for _, change := range changes {
		change(p, &s)
	}
	queue.AddHook(new(asynqx.PauseOnError))
	if !s.bare {
		queue.AddHook(asynqx.KeepBookkeeping{})
	}
	if p.Worker, err = worker.New(s.Config); err != nil {
		w.t.Fatal(err)
	}
	queue.AddHook(asynqx.AtGate{Gate: p.Worker.Gate()})
	queue.AddHook(p.commands)
	for _, h := range s.hooks {
		queue.AddHook(h)
	}

	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	var running sync.WaitGroup
	running.Go(func() {
		err := p.Run(ctx, func(c asynq.Config) *asynq.Server {
			// Each look at an empty queue is real time.
			c.DelayedTaskCheckInterval, c.JanitorInterval = 2*time.Second, time.Hour
			if c.Queues[tasks.QueueCallback] > 0 {
				c.TaskCheckInterval = 2 * time.Second
			}
			if s.asynq != nil {
				s.asynq(&c)
			}
			return asynq.NewServerFromRedisClient(queue, c)
		})
		if err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	var accounts []string
	for _, l := range s.Lanes {
		accounts = append(accounts, l.Account)
	}
	sweeper := recovery.Sweeper{Accounts: accounts, Store: store, Queue: client, Log: s.Log, Every: s.sweep}
	running.Go(func() { sweeper.Run(ctx) })
	reconciler := recovery.Reconciler{Accounts: accounts, Store: store, Process: p.Process, Log: s.Log, Every: s.reconcile}
	running.Go(func() { reconciler.Run(ctx) })
	go func() {
		running.Wait()
		close(p.ended)
	}()
	w.t.Cleanup(func() {
		p.stop()
		api.CloseIdleConnections()
		_, _ = rdb.Close(), queue.Close()
		// A turn that is cut off from Redis tries to settle for a minute, and a pool
		// whose dials failed looks once a second whether it was closed.
		time.Sleep(2 * time.Minute)
	})
	return p
}

// queueWatcher is the one that the command joins from the same parts.
type queueWatcher struct {
	*ledger.Ledger
	queues *queue.Client
	rdb    redis.UniversalClient
}

func (l queueWatcher) Poll(ctx context.Context, accounts []string) []worker.View {
	lanes, laneErrs := l.Lanes(ctx, accounts)
	depths, depthErrs := l.queues.Depths(ctx, accounts)
	return worker.Views(lanes, laneErrs, depths, depthErrs)
}

func (l queueWatcher) Listen(ctx context.Context, heard func(string)) {
	redisconn.Listen(ctx, l.rdb, tasks.WakeChannel, heard)
}

// stop stops the process as SIGTERM would, and waits for its end.
func (p *process) stop() {
	p.cancel()
	<-p.ended
}

// kill ends the process as far as anybody else can see: whatever it still does,
// it reaches nobody.
func (p *process) kill() {
	p.redis.pull()
	p.api.pull()
	p.cancel()
}

func (w *cluster) client(p *network) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     "miniredis",
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return p.dial(w.mini.Dial) },
		DialerRetries:            1,
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}
