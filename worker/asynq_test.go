package worker_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

type asynqConfig = asynq.Config

// startBare starts an asynq server whose handler creates an instance, and
// nothing of camsq around it but the hooks on its client.
func (w *cluster) startBare(name string) *network {
	w.t.Helper()
	p := new(network)
	rdb := w.client(p)
	rdb.AddHook(new(asynqx.PauseOnError))
	rdb.AddHook(asynqx.KeepBookkeeping{})
	api, err := cams.New(w.cloud.ClientConfig(""))
	if err != nil {
		w.t.Fatal(err)
	}
	s := asynq.NewServerFromRedisClient(rdb, asynq.Config{Concurrency: 1, Logger: quiet{}, LogLevel: asynq.FatalLevel})
	err = s.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		_, err := api.CreateInstance(context.WithoutCancel(ctx), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: name})
		return err
	}))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		s.Shutdown()
		api.CloseIdleConnections()
		_ = rdb.Close()
		time.Sleep(2 * time.Second)
	})
	return p
}

func (w *cluster) enqueueBare() {
	w.t.Helper()
	if _, err := asynq.NewClientFromRedisClient(w.rdb).Enqueue(asynq.NewTask("create", nil)); err != nil {
		w.t.Fatal(err)
	}
}

type quiet struct{}

func (quiet) Debug(...any) {}
func (quiet) Info(...any)  {}
func (quiet) Warn(...any)  {}
func (quiet) Error(...any) {}
func (quiet) Fatal(...any) {}

// spy sees each command that the queue sends, and may answer in Redis's place.
type spy func(cmd redis.Cmder) error

func (spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook { return next }

func (s spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := s(cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// isDone says whether a command is asynq's word that a provisioning task is done.
func isDone(cmd redis.Cmder) bool {
	args := cmd.Args()
	return strings.HasPrefix(cmd.Name(), "eval") && len(args) > 3 && args[2] == 5 &&
		args[3] == "asynq:{"+tasks.ProvisionQueue(account)+"}:active"
}

func TestATaskWhoseDoneFailedCreatesNothingMore(t *testing.T) {
	t.Parallel()
	for name, bare := range map[string]bool{"with the hook": false, "without": true} {
		bubble(t, name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{})
			var dones atomic.Int64
			w.start(func(_ *process, s *setup) {
				s.bare = bare
				s.hooks = []redis.Hook{spy(func(cmd redis.Cmder) error {
					if isDone(cmd) && dones.Add(1) == 1 {
						return errors.New("injected: connection reset")
					}
					return nil
				})}
			})
			w.enqueue("shop")
			w.awaitEnd(time.Minute, "shop")
			time.Sleep(3 * time.Minute)
			w.wantCreated("shop")
			if dones.Load() < 2 {
				t.Error("Done was not repeated: the test no longer shows the trap")
			}
			if n := w.cloud.Calls("CreateInstance"); n != 1 {
				t.Errorf("%d calls, want one", n)
			}
		})
	}
}

func TestATaskThatRunsBesideItselfMakesOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, slow(10*time.Second))
		impatient := func(_ *process, s *setup) {
			s.asynq = func(c *asynqConfig) { c.ShutdownTimeout = time.Second }
		}
		first := w.start(impatient)
		w.enqueue("shop")
		w.await("a call", time.Minute, func() bool { return w.cloud.Calls("CreateInstance") == 1 })
		first.cancel() // asynq gives up the turn after a second and puts its task back
		w.start(impatient)
		time.Sleep(3 * time.Second)
		if r := w.record("shop"); r.State != tasks.StateCalling {
			t.Errorf("the job is %s while the first call is under way, want calling", r.State)
		}
		<-first.ended
		if r := w.record("shop"); r.State != tasks.StateCreated {
			t.Errorf("the job is %s after the first worker's end, want created: Run waits for its turns", r.State)
		}
		w.awaitEnd(10*time.Minute, "shop")
		w.wantCreated("shop")
		if n := w.cloud.Calls("CreateInstance"); n != 1 {
			t.Errorf("%d calls, want one", n)
		}
	})
}

func TestNoNumberOfKillsIsTheLastAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueue("shop")
		for range 3 {
			killed := make(chan struct{})
			w.start(func(p *process, s *setup) {
				s.SettleWindow = 10 * time.Second
				s.Lanes[0].API = guarded{Client: s.Lanes[0].API.(*cams.Client), before: func() {
					p.kill()
					close(killed)
				}}
			})
			<-killed
		}
		task := w.task(t, "shop")
		if task.MaxRetry != math.MaxInt32 {
			t.Errorf("asynq gives up after %d retries, want never", task.MaxRetry)
		}
		w.start()
		w.awaitEnd(time.Hour, "shop")
		w.wantCreated("shop")
	})
}

func (w *cluster) task(t *testing.T, id string) *asynq.TaskInfo {
	t.Helper()
	info, err := w.inspect.GetTaskInfo(tasks.ProvisionQueue(account), id)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestComingBackLaterIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.start(func(_ *process, s *setup) { s.reconcile = time.Hour }) // the task alone brings it back
		for range 3 {
			w.cloud.FailName("shop", camstest.Fault{Reply: camstest.ReplyThrottled})
		}
		w.cloud.FailName("shop", camstest.Fault{Reply: camstest.ReplyReset})
		w.enqueue("shop")
		w.await("the look for an instance", time.Minute, func() bool { return w.record("shop").Lookups > 2 })
		task := w.task(t, "shop")
		want(t, "retries that asynq has counted", task.Retried, 0)
		if task.State == asynq.TaskStateRetry && task.NextProcessAt.Before(w.record("shop").Due) {
			t.Errorf("the task comes back at %v, before the job is due at %v", task.NextProcessAt, w.record("shop").Due)
		}
	})
}

// TestWhatTheQueueLosesIsPutBack loses a job's task in each way that asynq has.
func TestWhatTheQueueLosesIsPutBack(t *testing.T) {
	t.Parallel()
	const queue = "asynq:{provision:" + account + "}:"
	tests := []struct {
		name string
		lose func(w *cluster) error
	}{
		{"archived by hand", func(w *cluster) error { return w.inspect.ArchiveTask(tasks.ProvisionQueue(account), "shop") }},
		{"archived, beside what is not ours", func(w *cluster) error {
			queue := tasks.ProvisionQueue(account)
			_, err := asynq.NewClientFromRedisClient(w.rdb).Enqueue(asynq.NewTask("mail:send", nil), asynq.Queue(queue), asynq.TaskID("foreign"))
			return errors.Join(err, w.inspect.ArchiveTask(queue, "foreign"), w.inspect.ArchiveTask(queue, "shop"))
		}},
		{"deleted by hand", func(w *cluster) error { return w.inspect.DeleteTask(tasks.ProvisionQueue(account), "shop") }},
		{"its hash was evicted", func(w *cluster) error { return w.rdb.Del(w.t.Context(), queue+"t:shop").Err() }},
		{"its list was evicted", func(w *cluster) error { return w.rdb.Del(w.t.Context(), queue+"pending").Err() }},
		{"everything was evicted", func(w *cluster) error { return w.rdb.Del(w.t.Context(), queue+"t:shop", queue+"pending").Err() }},
		{"active, and no lease", func(w *cluster) error {
			_, err := w.rdb.TxPipelined(w.t.Context(), func(p redis.Pipeliner) error {
				p.RPopLPush(w.t.Context(), queue+"pending", queue+"active")
				p.HSet(w.t.Context(), queue+"t:shop", "state", "active")
				return nil
			})
			return err
		}},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			w := newCluster(t, camstest.Config{})
			w.enqueue("shop")
			if err := tt.lose(w); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.awaitEnd(15*time.Minute, "shop")
			w.wantCreated("shop")
		})
	}
}

func TestACallbackThatTheQueueLosesIsPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueue("shop")
		p := w.start(func(_ *process, s *setup) { s.Queue = nobody{} })
		w.await("the end", time.Minute, func() bool { return w.record("shop").State == tasks.StateCreated })
		if n := w.receiver.received("shop"); n != 0 {
			t.Fatalf("%d callbacks, and none was queued", n)
		}
		w.awaitEnd(5*time.Minute, "shop")
		w.wantCreated("shop")
		p.stop()
	})
}

// nobody loses every callback that it is told to queue.
type nobody struct{}

func (nobody) Callback(context.Context, tasks.Ref) error           { return nil }
func (nobody) BatchCallback(context.Context, tasks.BatchRef) error { return nil }

func TestWhatIsNotOursIsParkedAndReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.start()
		client := asynq.NewClientFromRedisClient(w.rdb)
		for id, task := range map[string]*asynq.Task{
			"foreign-type":    asynq.NewTask("mail:send", []byte("shop")),
			"foreign-payload": asynq.NewTask(tasks.TypeCreateInstance, []byte(`{"ContactMail":"ana@example.com"}`)),
			"no-job":          asynq.NewTask(tasks.TypeCreateInstance, []byte("nobody-sent-this")),
		} {
			if _, err := client.Enqueue(task, asynq.Queue(tasks.ProvisionQueue(account)), asynq.TaskID(id), asynq.MaxRetry(5)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.Enqueue(asynq.NewTask(tasks.TypeDeliverCallback, []byte("??")), asynq.Queue(tasks.QueueCallback), asynq.TaskID("foreign-callback")); err != nil {
			t.Fatal(err)
		}
		w.enqueue("shop")
		w.awaitEnd(time.Minute, "shop")
		time.Sleep(5 * time.Minute) // the sweeper leaves them where they are
		w.wantCreated("shop")

		parked := map[string]bool{}
		for _, queue := range []string{tasks.ProvisionQueue(account), tasks.QueueCallback} {
			archived, err := w.inspect.ListArchivedTasks(queue)
			if err != nil {
				t.Fatal(err)
			}
			for _, task := range archived {
				parked[task.ID] = true
			}
		}
		want(t, "parked", parked, map[string]bool{"foreign-type": true, "foreign-payload": true, "no-job": true, "foreign-callback": true})
		for id := range parked {
			if n := strings.Count(w.log.String(), "task="+id+" "); n != 1 {
				t.Errorf("%s is reported %d times, want once", id, n)
			}
		}
		if strings.Contains(w.log.String(), "ana@example.com") {
			t.Error("the log repeats a foreign payload")
		}
	})
}

func TestAJobThatCannotBeReadWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{})
		w.enqueue("shop")
		key := ledger.JobKey(tasks.Ref{Account: account, ID: "shop"})
		record := w.rdb.Get(t.Context(), key).Val()
		w.rdb.Set(t.Context(), key, record[:len(record)-1], 0)
		w.start()
		time.Sleep(6 * time.Minute)
		if n := w.cloud.Calls("CreateInstance") + w.cloud.Calls("ListInstance"); n != 0 {
			t.Errorf("%d calls for a job that nobody can read", n)
		}
		if n := strings.Count(w.log.String(), "cannot be read"); n < 1 || n > 6 {
			t.Errorf("it is reported %d times, want every 5 min", n)
		}
		w.rdb.Set(t.Context(), key, record, 0)
		w.awaitEnd(6*time.Minute, "shop")
		w.wantCreated("shop")
	})
}
