package asynqx_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/redistest"
)

// quiet is an asynq logger: these tests make it complain all the time.
type quiet struct{}

func (quiet) Debug(...any) {}
func (quiet) Info(...any)  {}
func (quiet) Warn(...any)  {}
func (quiet) Error(...any) {}
func (quiet) Fatal(...any) {}

// spy is the innermost hook: it sees each command that asynq sends, once for
// each call, and may answer in Redis's place.
type spy func(cmd redis.Cmder) error

func (s spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := s(cmd); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// script returns the number of keys of a script and the first one.
func script(cmd redis.Cmder) (n int, first string) {
	args := cmd.Args()
	if !strings.HasPrefix(cmd.Name(), "eval") || len(args) < 4 {
		return 0, ""
	}
	n, _ = args[2].(int)
	first, _ = args[3].(string)
	return n, first
}

func isDequeue(cmd redis.Cmder) bool {
	n, key := script(cmd)
	return n == 4 && strings.HasSuffix(key, ":pending")
}

func isDone(cmd redis.Cmder) bool {
	n, key := script(cmd)
	return n == 5 && strings.HasSuffix(key, ":active")
}

func refused(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func serve(t testing.TB, c redis.UniversalClient, h asynq.HandlerFunc) *asynq.Server {
	t.Helper()
	srv := asynq.NewServerFromRedisClient(c, asynq.Config{
		Concurrency: 2,
		Logger:      quiet{},
		LogLevel:    asynq.FatalLevel,
	})
	if err := srv.Start(h); err != nil {
		t.Fatal(err)
	}
	return srv
}

func TestAsynqAsksSeldomWhileRedisRefuses(t *testing.T) {
	var dequeues atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		// An address, not a name: NewClient would look that up on the real network.
		c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Dialer: refused, DialerRetries: 1})
		c.AddHook(new(asynqx.PauseOnError))
		c.AddHook(spy(func(cmd redis.Cmder) error {
			if isDequeue(cmd) {
				dequeues.Add(1)
			}
			return nil
		}))
		srv := serve(t, c, func(context.Context, *asynq.Task) error { return nil })
		time.Sleep(time.Minute)
		srv.Shutdown()
		c.Close()
		time.Sleep(2 * time.Second) // the pool's dialer looks once a second whether it was closed
	})
	// One each 1 to 2 s once the pause is at its longest.
	if n := dequeues.Load(); n < 20 || n > 65 {
		t.Errorf("%d dequeues in a minute without Redis, want 20 to 65", n)
	}
}

func TestAsynqAsksSeldomWhileRedisIsOutOfMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	c := s.Client()
	c.AddHook(new(asynqx.PauseOnError))
	start := time.Now()
	var errs []error
	for range 4 {
		// As asynq's dequeue does it: a write within a script.
		errs = append(errs, c.Eval(t.Context(), `return redis.call("RPUSH", KEYS[1], 1)`, []string{"k"}).Err())
	}
	if took, want := time.Since(start), (100+200+400+800)*time.Millisecond/2; took < want {
		t.Errorf("four refused writes took %v, want at least %v; errors: %v", took, want, errs)
	}
}

// cpuChild makes this test binary measure itself; see the test after it.
const cpuChild = "ASYNQX_TEST_CPU_CHILD"

func TestAsynqRestsWhileRedisRefuses(t *testing.T) {
	if addr := os.Getenv(cpuChild); addr != "" {
		measureCPU(t, addr)
		return
	}
	if testing.Short() {
		t.Skip("takes 3 s of real time")
	}
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()

	// A child, so that other tests' work is not counted.
	cmd := exec.Command(os.Args[0], "-test.run=^TestAsynqRestsWhileRedisRefuses$", "-test.v")
	cmd.Env = append(os.Environ(), cpuChild+"="+addr)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	_, text, ok := strings.Cut(string(out), "cpu percent=")
	if !ok {
		t.Fatalf("the child reported nothing:\n%s", out)
	}
	percent, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.2f %% of a core", percent)
	if percent >= 2 {
		t.Errorf("asynq takes %.2f %% of a core while Redis refuses, want less than 2 %%", percent)
	}
}

func measureCPU(t *testing.T, addr string) {
	// go-redis's own retries would hide asynq's haste for the first seconds.
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	defer c.Close()
	if os.Getenv("ASYNQX_TEST_WITHOUT_HOOK") == "" {
		c.AddHook(new(asynqx.PauseOnError))
	}
	srv := serve(t, c, func(context.Context, *asynq.Task) error { return nil })
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	<-time.After(500 * time.Millisecond) // the start is not what is measured
	const span = 3 * time.Second
	before := used()
	<-time.After(span)
	t.Logf("cpu percent=%.3f", 100*float64(used()-before)/float64(span))
	srv.Shutdown()
}

func TestASuccessfulTaskRunsOnceThoughItsDoneFailed(t *testing.T) {
	tests := []struct {
		name string
		keep bool
		runs int64
	}{
		{"with the hook", true, 1},
		{"without it asynq runs the task again", false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var runs, dones atomic.Int64
			synctest.Test(t, func(t *testing.T) {
				_, c := redistest.Mini(t)
				if tt.keep {
					c.AddHook(asynqx.KeepBookkeeping{})
				}
				c.AddHook(spy(func(cmd redis.Cmder) error {
					if isDone(cmd) && dones.Add(1) == 1 {
						return errors.New("injected: connection reset")
					}
					return nil
				}))
				client := asynq.NewClientFromRedisClient(c)
				if _, err := client.Enqueue(asynq.NewTask("t", nil)); err != nil {
					t.Fatal(err)
				}
				srv := serve(t, c, func(context.Context, *asynq.Task) error {
					runs.Add(1)
					return nil
				})
				time.Sleep(3 * time.Minute)
				srv.Shutdown()
			})
			if got := runs.Load(); got != tt.runs {
				t.Errorf("the handler ran %d times, want %d", got, tt.runs)
			}
			if dones.Load() < 2 {
				t.Error("asynq did not try to repeat Done: the test no longer shows the trap")
			}
		})
	}
}
