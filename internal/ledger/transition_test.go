package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

func TestEveryEdgeCanBeWrittenAndNothingElse(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		edges, steps := map[string]tasks.State{}, map[tasks.Step]bool{}
		for _, e := range tasks.Edges() {
			edges[string(e.From)+" "+string(e.By)], steps[e.By] = e.To, true
		}
		for _, from := range tasks.States() {
			for by := range steps {
				r := place(t, c, l, job(fmt.Sprintf("%s-%s", from, by)), from)
				got, err := l.Transition(t.Context(), r, by, 0)
				to, allowed := edges[string(from)+" "+string(by)]
				stands := get(t, l, r.ID)
				if !allowed {
					var refused *tasks.StepError
					if !errors.As(err, &refused) || stands.Version != r.Version {
						t.Errorf("%s by %s: %v, record moved: %v; want a StepError and nothing written", from, by, err, stands.Version != r.Version)
					}
					continue
				}
				if err != nil || got.State != to || stands.State != to || got.Version != stands.Version || got.Version == r.Version {
					t.Errorf("%s by %s: %v; returned %s, stands %s, want %s", from, by, err, got.State, stands.State, to)
				}
			}
		}
	})
}

func TestStepReturnsTheRecordAsItStands(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		j := job("a")
		j.Batch = "tenants of march.csv"
		j.Metadata = map[string]string{"tenant": "7"}
		insert(t, c, j)
		r := get(t, l, "a")

		for _, due := range []time.Duration{15 * time.Second, 0} {
			var err error
			r.Code, r.Message, r.Tries, r.FirstTry = "Busy", "später \"wieder\"", 1, r.Now.UTC()
			if r.State == tasks.StateQueued {
				r, err = l.Transition(t.Context(), r, tasks.StepBegin, due)
			} else {
				r, err = l.Transition(t.Context(), r, tasks.StepUnsent, due)
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Wait() != due {
				t.Errorf("%s: Wait is %v, want %v", r.State, r.Wait(), due)
			}
			stands := get(t, l, "a")
			if stands.Now.Before(r.Now) {
				t.Errorf("Now went back from %v to %v", r.Now, stands.Now)
			}
			stands.Now = r.Now
			if diff := cmp.Diff(stands, r); diff != "" {
				t.Errorf("%s: the returned record is not the one in Redis (-redis +returned):\n%s", r.State, diff)
			}
			if r.Batch != j.Batch || r.Metadata["tenant"] != "7" {
				t.Errorf("the job has become %+v", r.Job)
			}
		}
	})
}

func TestNoteKeepsTheStateAndItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, 0)
		insert(t, c, job("a"))
		r := step(t, l, get(t, l, "a"), tasks.StepBegin)
		time.Sleep(time.Minute)
		r.Code = "seen"
		noted, err := l.UpdateProgress(t.Context(), r, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if noted.State != r.State || !noted.Since.Equal(r.Since) || noted.Version == r.Version || noted.Wait() != 5*time.Second {
			t.Errorf("noted %+v, from %+v", noted, r)
		}
		if got := get(t, l, "a"); got.Code != "seen" || !got.Since.Equal(r.Since) {
			t.Errorf("stands with code %q since %v", got.Code, got.Since)
		}
	})
}

func TestOneOfManyWritersFromOneRevisionWins(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		insert(t, c, job("a"))
		r := get(t, l, "a")
		const writers = 48
		var won, lost int
		var mu sync.Mutex
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range writers {
			wg.Go(func() {
				<-start
				by := tasks.StepBegin
				if i%2 == 1 {
					by = tasks.StepCancel
				}
				_, err := l.Transition(t.Context(), r, by, 0)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, tasks.ErrConflict):
					lost++
				default:
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if won != 1 || lost != writers-1 {
			t.Errorf("%d won and %d got ErrConflict, want 1 and %d", won, lost, writers-1)
		}
		o, err := l.Overview(t.Context(), account)
		if err != nil || o.Jobs[tasks.StateCalling]+o.Jobs[tasks.StateCancelled] != 1 || o.Jobs[tasks.StateQueued] != 0 {
			t.Errorf("counted %v, %v", o.Jobs, err)
		}
	})
}

func TestWritingAJobThatIsNotThere(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		r := tasks.Record{Job: job("nobody"), State: tasks.StateQueued, Version: "x"}
		if _, err := l.Transition(t.Context(), r, tasks.StepBegin, 0); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("Transition: %v, want ErrNotFound", err)
		}
		if _, err := l.Get(t.Context(), r.Ref()); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("Get: %v, want ErrNotFound", err)
		}
		if keys := c.Keys(t.Context(), "*").Val(); len(keys) != 0 {
			t.Errorf("Redis holds %q, want nothing", keys)
		}
	})
}

func TestAWriteWhoseConnectionBreaksIsAppliedOnce(t *testing.T) {
	for name, how := range map[string]fault{"before the script ran": beforeScript, "after the script ran": afterScript} {
		for _, v := range []struct {
			name           string
			retries, times int
		}{
			{"and go-redis asks again", 3, 1},
			{"and the ledger asks again", -1, 1},
			{"several times", 1, 5},
		} {
			t.Run(name+" "+v.name, func(t *testing.T) {
				t.Parallel()
				redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
					mine, link := cutable(t, c, v.retries)
					l := open(t, mine, 0)
					insert(t, c, job("warm"), job("a"))
					step(t, l, get(t, l, "warm"), tasks.StepCancel) // so that Redis knows the script
					r := get(t, l, "a")

					link.fail(how, v.times)
					r, err := l.Transition(t.Context(), r, tasks.StepBegin, time.Hour)
					if err != nil {
						t.Fatalf("Transition: %v, want it applied and reported", err)
					}
					if link.left() != 0 {
						t.Fatalf("%d faults were not met", link.left())
					}
					if got := get(t, l, "a"); got.Version != r.Version || got.State != tasks.StateCalling {
						t.Errorf("stands %s at %s, returned %s at %s", got.State, got.Version, r.State, r.Version)
					}
					o, err := l.Overview(t.Context(), account)
					if err != nil || o.Jobs[tasks.StateCalling] != 1 || o.Jobs[tasks.StateQueued] != 0 {
						t.Errorf("counted %v, %v; want one calling and none queued", o.Jobs, err)
					}
					step(t, l, r, tasks.StepAmbiguous) // the returned revision is the one in Redis
				})
			})
		}
	}
}

func TestAWriteWhoseReplyWasLostAndThatWasOvertakenIsAConflict(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		mine, link := cutable(t, c, -1)
		l, other := open(t, mine, 0), open(t, c, 0)
		insert(t, c, job("warm"), job("a"))
		step(t, l, get(t, l, "warm"), tasks.StepCancel)
		r := get(t, l, "a")

		link.fail(afterScript, 1)
		overtake := &once{do: func() { step(t, other, get(t, other, "a"), tasks.StepAmbiguous) }}
		mine.AddHook(overtake)
		if _, err := l.Transition(t.Context(), r, tasks.StepBegin, 0); !errors.Is(err, tasks.ErrConflict) {
			t.Errorf("Transition: %v, want ErrConflict", err)
		}
		if got := get(t, other, "a"); got.State != tasks.StateUncertain {
			t.Errorf("stands %s, want uncertain: the later write", got.State)
		}
	})
}

// once does something after the first command that failed.
type once struct {
	do   func()
	sync sync.Once
}

func (o *once) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o *once) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o *once) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil {
			o.sync.Do(o.do)
		}
		return err
	}
}

func TestAWriteOutlastsARedisThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		mine, link := cutable(t, c, 3)
		l := open(t, mine, 0)
		insert(t, c, job("a"))
		r := get(t, l, "a")

		link.setDown(true)
		began := time.Now()
		go func() {
			time.Sleep(20 * time.Second)
			link.setDown(false)
		}()
		if _, err := l.Transition(t.Context(), r, tasks.StepBegin, 0); err != nil {
			t.Fatalf("Transition: %v, want it to wait for Redis", err)
		}
		if took := time.Since(began); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("Transition took %v, Redis was away for 20s", took)
		}
	})
}

func TestAWriteGivesUpWithItsContextAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		mine, link := cutable(t, c, 3)
		l := open(t, mine, 0)
		insert(t, c, job("a"))
		r := get(t, l, "a")

		link.setDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := l.Transition(ctx, r, tasks.StepBegin, 0)
		if !errors.Is(err, errCut) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Transition: %v, want the reason", err)
		}
		for _, not := range []error{tasks.ErrConflict, tasks.ErrNotFound, tasks.ErrClaimed} {
			if errors.Is(err, not) {
				t.Errorf("Transition: %v, which is said of a write that was refused", err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Transition took %v with a context of 5s", took)
		}
		link.setDown(false)
		time.Sleep(2 * time.Second) // go-redis looks once a second whether it may dial again
	})
}

func TestAWriteOutlastsARedisThatIsKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := s.Client()
	mine, link := cutable(t, c, -1)
	l := open(t, mine, 0)
	insert(t, c, job("a"))
	r := get(t, l, "a")

	s.Kill()
	link.failed = make(chan struct{}, 1)
	done := make(chan error)
	go func() {
		_, err := l.Transition(t.Context(), r, tasks.StepBegin, 0)
		done <- err
	}()
	<-link.failed
	s.Restart()
	if err := <-done; err != nil {
		t.Fatalf("Transition: %v, want it to wait for Redis", err)
	}
	s.Restart()
	fresh := redis.NewClient(&redis.Options{Addr: s.Addr(), Dialer: func(context.Context, string, string) (net.Conn, error) { return net.Dial("tcp", s.Addr()) }})
	defer fresh.Close()
	if got := get(t, open(t, fresh, 0), "a"); got.State != tasks.StateCalling {
		t.Errorf("after the next kill the job stands %s, want calling", got.State)
	}
}
