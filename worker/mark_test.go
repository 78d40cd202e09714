package worker_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// losing replaces the reply to the first mark by an error. do is what becomes of the
// write itself; written is called after each later step.
func losing(do, written func(d *fixture, r, made tasks.Record)) func(*fixture, *worker.Config) {
	return func(d *fixture, c *worker.Config) {
		var first, mark tasks.Record
		stepping(func(next stepFunc) stepFunc {
			return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
				if by != tasks.StepBegin || mark.Version != "" {
					made, err := next(ctx, r, by, due)
					if mark.Version != "" && written != nil {
						written(d, first, mark)
					}
					return made, err
				}
				var err error
				if mark, err = d.ledger.intend(r, by); err != nil {
					return tasks.Record{}, err
				}
				if first = r; do != nil {
					do(d, r, mark)
				}
				return mark, errors.New("redis: connection lost")
			}
		})(d, c)
	}
}

// write is the mark, as it lies in the socket.
func write(d *fixture, r, mark tasks.Record) {
	_, _ = d.ledger.write(context.Background(), r, mark, 30*time.Second)
}

// The job of a mark whose reply was lost is called at once, by the turn that knows that
// it made no call, and whenever the write is carried out.
func TestAMarkThatIsNotCertainIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fixture, *worker.Config){
		"never written":                  losing(nil, nil),
		"written":                        losing(write, nil),
		"written while it is taken back": losing(nil, write),
		"written afterwards": losing(func(d *fixture, r, mark tasks.Record) {
			time.AfterFunc(500*time.Millisecond, func() { write(d, r, mark) })
		}, nil),
	} {
		bubble(t, name, func(t *testing.T) {
			d := newFixture(t, change)
			d.ledger.put(queued())
			start := time.Now()
			r, err := d.turn(t)
			want(t, "wait", later(t, err), 0)
			want(t, "state, creates, tries, wait", []any{r.State, d.cloud.creates, r.Tries, r.Wait()}, []any{tasks.StateQueued, 0, 0, time.Duration(0)})
			time.Sleep(time.Second) // and the write that comes afterwards is refused
			want(t, "state", d.job(t).State, tasks.StateQueued)
			r = d.toEnd(t)
			want(t, "state, instances, tries", []any{r.State, d.cloud.made("shop"), r.Tries}, []any{tasks.StateCreated, 1, 1})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// A mark that another turn has set is not this turn's to take back: its call may be on
// the wire.
func TestAnothersMarkIsNotTakenBack(t *testing.T) {
	t.Parallel()
	another := func(d *fixture, _, _ tasks.Record) {
		r, err := d.ledger.Get(context.Background(), job1)
		if err == nil && r.State == tasks.StateQueued {
			r.Tries++
			_, _ = d.ledger.Transition(context.Background(), r, tasks.StepBegin, 30*time.Second)
		}
	}
	for name, change := range map[string]func(*fixture, *worker.Config){
		"set first":               losing(another, nil),
		"set while it is fencing": losing(nil, another),
	} {
		bubble(t, name, func(t *testing.T) {
			d := newFixture(t, change)
			d.ledger.put(queued())
			r, err := d.turn(t)
			want(t, "wait", later(t, err), time.Second)
			want(t, "state, creates, tries", []any{r.State, d.cloud.creates, r.Tries}, []any{tasks.StateCalling, 0, 1})
			_, err = d.turn(t)
			want(t, "wait for the other's call", later(t, err) > 28*time.Second, true)
		})
	}
}

// A worker that stops does not wait for a Redis that is away.
func TestAStoppingWorkerLeavesItsMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("redis: connection lost")
		tries := 0
		d := newFixture(t, stepping(func(stepFunc) stepFunc {
			return func(_ context.Context, r tasks.Record, _ tasks.Step, _ time.Duration) (tasks.Record, error) {
				tries++
				r.Version += "x"
				return r, lost
			}
		}))
		d.ledger.put(queued())
		time.AfterFunc(time.Hour, d.Drain)
		start := time.Now()
		_, err := d.turn(t)
		if !errors.Is(err, lost) {
			t.Errorf("Turn returned %v, want what Redis answered", err)
		}
		if took := time.Since(start); took < time.Hour || took > time.Hour+time.Minute {
			t.Errorf("it tried for %v, want until it stops", took)
		}
		if tries < 10 {
			t.Errorf("%d tries in an hour", tries)
		}
	})
}

// TestWithoutACertainMarkThereIsNoCall: not even when the ledger cannot tell what it
// would have written.
func TestWithoutACertainMarkThereIsNoCall(t *testing.T) {
	lost := errors.New("redis: connection lost")
	for name, happens := range map[string]bool{"not written": false, "written": true} {
		bubble(t, name, func(t *testing.T) {
			steps := []tasks.Step{}
			d := newFixture(t, stepping(func(next stepFunc) stepFunc {
				return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
					steps = append(steps, by)
					if happens {
						_, _ = next(ctx, r, by, due)
					}
					return tasks.Record{}, lost
				}
			}))
			d.ledger.put(queued())
			r, err := d.turn(t)
			if !errors.Is(err, lost) {
				t.Errorf("Turn returned %v, want what Redis answered", err)
			}
			want(t, "steps, creates", []any{steps, d.cloud.creates}, []any{[]tasks.Step{tasks.StepBegin}, 0})
			want(t, "calling", r.State == tasks.StateCalling, happens)
		})
	}
}

// socket is a hook before a Redis that may stand still: what was sent lies in the socket
// until it goes on, whether or not the sender still waits.
type socket struct {
	freezer
	// begins counts the marks that were sent, each as often as it was.
	begins atomic.Int64
	// before is called before each.
	before func(n int64)
}

func (s *socket) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" && len(args) > 19 && args[18] == "queued" && args[19] == "calling" {
			s.before(s.begins.Add(1))
		}
		script, ok := cmd.(*redis.Cmd)
		if !ok {
			if !s.waits(ctx, 3*time.Second) {
				cmd.SetErr(os.ErrDeadlineExceeded)
				return os.ErrDeadlineExceeded
			}
			return next(ctx, cmd)
		}
		sent := redis.NewCmd(ctx, cmd.Args()...)
		done := make(chan error, 1)
		go func() {
			s.pass()
			done <- next(context.WithoutCancel(ctx), sent)
		}()
		select {
		case err := <-done:
			script.SetVal(sent.Val())
			script.SetErr(err)
			return err
		case <-ctx.Done():
			script.SetErr(ctx.Err())
			return ctx.Err()
		case <-time.After(3 * time.Second): // as go-redis
			script.SetErr(os.ErrDeadlineExceeded)
			return os.ErrDeadlineExceeded
		}
	}
}

// A Redis that stands still while the mark is written makes the job wait for that long,
// and not for the settle window too.
func TestAMarkInTheSocketOfARedisThatStandsStill(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{time.Second, 9 * time.Second, 20 * time.Second, 35 * time.Second, 2 * time.Minute} {
		bubble(t, pause.String(), func(t *testing.T) {
			var seen calls
			w := newCluster(t, camstest.Config{OnRequest: seen.note})
			conn := new(socket)
			conn.before = func(n int64) {
				if n == 2 { // the first one tells Redis the script
					conn.freeze()
				}
			}
			p := w.start(func(p *process, s *setup) {
				p.ledgerRedis.AddHook(conn)
				s.hooks = append(s.hooks, conn)
			})
			t.Cleanup(conn.thaw)
			w.enqueue("warm")
			w.awaitEnd(time.Minute, "warm")
			w.enqueue("shop")
			w.await("a mark", time.Minute, func() bool { return conn.begins.Load() > 1 })
			time.Sleep(pause)
			conn.thaw()
			thawed := time.Now()
			w.awaitEnd(10*time.Minute, "shop")
			w.wantCreated("shop")
			seen.mu.Lock()
			took := seen.at["shop"].Sub(thawed)
			seen.mu.Unlock()
			if took > soon {
				t.Errorf("the job was called %v after Redis went on, want at most %v", took, soon)
			}
			t.Logf("the job was called %v after Redis went on", took)
			if r := w.record("shop"); r.Tries != 1 {
				t.Errorf("%d tries, want one: the lost mark costs none", r.Tries)
			}
			p.stop()
		})
	}
}
