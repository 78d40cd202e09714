package asynqx_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/redistest"
)

// reply is an error that Redis sent.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// took runs one command whose outcome is err through the hook.
func took(ctx context.Context, h redis.Hook, err error) time.Duration {
	run := h.ProcessHook(func(context.Context, redis.Cmder) error { return err })
	start := time.Now()
	_ = run(ctx, redis.NewStatusCmd(ctx, "ping"))
	return time.Since(start)
}

func TestPauseOnErrorPausesForWhatWouldRepeat(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		pauses bool
	}{
		{"success", nil, false},
		{"missing key", redis.Nil, false},
		{"NOSCRIPT", redis.ErrNoScript, false},
		{"a script's own error", reply("ERR not allowed from calling"), false},
		{"wrong type", reply("WRONGTYPE Operation against a key holding the wrong kind of value"), false},
		{"transaction failed", redis.TxFailedErr, false},
		{"cancelled", context.Canceled, false},
		{"refused", errors.New("dial tcp 127.0.0.1:6379: connect: connection refused"), true},
		{"cut", io.EOF, true},
		{"timeout of a dial or a read", context.DeadlineExceeded, true},
		{"pool", redis.ErrPoolTimeout, true},
		{"OOM", reply("OOM command not allowed when used memory > 'maxmemory'."), true},
		{"READONLY", reply("READONLY You can't write against a read only replica."), true},
		{"LOADING", reply("LOADING Redis is loading the dataset in memory"), true},
		{"CLUSTERDOWN", reply("CLUSTERDOWN The cluster is down"), true},
		{"MASTERDOWN", reply("MASTERDOWN Link with MASTER is down"), true},
		{"TRYAGAIN", reply("TRYAGAIN Multiple keys request during rehashing of slot"), true},
		{"NOREPLICAS", reply("NOREPLICAS Not enough good replicas to write."), true},
		{"MISCONF", reply("MISCONF Redis is configured to save RDB snapshots"), true},
		{"BUSY", reply("BUSY Redis is busy running a script."), true},
		{"MOVED", reply("MOVED 1 127.0.0.1:7001"), true},
		{"NOAUTH", reply("NOAUTH Authentication required."), true},
		{"WRONGPASS", reply("WRONGPASS invalid username-password pair"), true},
		{"NOPERM", reply("NOPERM this user has no permissions"), true},
		{"max clients", reply("ERR max number of clients reached"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := took(t.Context(), new(asynqx.PauseOnError), tt.err)
				if tt.pauses && (d < 50*time.Millisecond || d > 100*time.Millisecond) {
					t.Errorf("paused %v, want 50 to 100 ms", d)
				}
				if !tt.pauses && d != 0 {
					t.Errorf("paused %v, want none", d)
				}
			})
		})
	}
}

func TestPauseOnErrorDoublesUntilASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(asynqx.PauseOnError)
		for i, want := range []time.Duration{100, 200, 400, 800, 1600, 2000, 2000} {
			want *= time.Millisecond
			if d := took(t.Context(), h, io.EOF); d < want/2 || d > want {
				t.Errorf("failure %d: paused %v, want %v to %v", i+1, d, want/2, want)
			}
		}
		took(t.Context(), h, nil)
		if d := took(t.Context(), h, io.EOF); d > 100*time.Millisecond {
			t.Errorf("first failure after a success: paused %v, want at most 100 ms", d)
		}
	})
}

func TestManyFailuresAtOnceAreOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(asynqx.PauseOnError)
		start := time.Now()
		for range 50 {
			go took(t.Context(), h, io.EOF)
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if d := took(t.Context(), h, io.EOF); d > 200*time.Millisecond {
			t.Errorf("the failure after %v paused %v, want at most 200 ms", time.Since(start)-d, d)
		}
	})
}

func TestPauseOnErrorEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		h := new(asynqx.PauseOnError)
		if d := took(ctx, h, io.EOF); d != 10*time.Millisecond {
			t.Errorf("paused %v, want the context's 10 ms", d)
		}
		if d := took(ctx, h, io.EOF); d != 0 {
			t.Errorf("paused %v with an ended context, want none", d)
		}
	})
}

func TestPauseOnErrorSeesEachCommandOfAPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(asynqx.PauseOnError)
		run := h.ProcessPipelineHook(func(_ context.Context, cmds []redis.Cmder) error {
			cmds[1].SetErr(reply("OOM command not allowed"))
			return nil
		})
		start := time.Now()
		_ = run(t.Context(), []redis.Cmder{redis.NewStatusCmd(t.Context()), redis.NewStatusCmd(t.Context())})
		if d := time.Since(start); d < 50*time.Millisecond {
			t.Errorf("paused %v, want at least 50 ms", d)
		}
	})
}

func TestKeepBookkeepingFreesOnlyAsynqsBooksFromCancellation(t *testing.T) {
	active := []any{"evalsha", "sha", 2, "asynq:{q}:active", "asynq:{q}:lease", "id"}
	minute := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, time.Minute)
	}
	tests := []struct {
		name string
		args []any
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		wait time.Duration // between the cancellation and the command
		want time.Duration // the deadline that is left, 0 when the context must be ended
	}{
		{"done keeps its deadline", active, minute, 10 * time.Second, 50 * time.Second},
		{"archive has the list second", []any{"eval", "src", 2, "asynq:{q}:t:1", "asynq:{q}:active"}, minute, 0, time.Minute},
		{"deadline passed after the cancellation", active, minute, 2 * time.Minute, 5 * time.Second},
		{"no deadline", active, context.WithCancel, 0, 5 * time.Second},
		{"enqueue may be cancelled", []any{"evalsha", "sha", 2, "asynq:{q}:t:1", "asynq:{q}:pending"}, minute, 0, 0},
		{"argument that looks like the key", []any{"evalsha", "sha", 1, "asynq:{q}:t:1", "asynq:{q}:active"}, minute, 0, 0},
		{"our own scripts", []any{"evalsha", "sha", 1, "camsq:{q}:job:active"}, minute, 0, 0},
		{"plain command", []any{"lrem", "asynq:{q}:active", 0, "id"}, minute, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := tt.ctx(t.Context())
				cancel()
				time.Sleep(tt.wait)
				run := asynqx.KeepBookkeeping{}.ProcessHook(func(ctx context.Context, _ redis.Cmder) error {
					if tt.want == 0 {
						if ctx.Err() == nil {
							t.Error("the context goes on, want it cancelled")
						}
						return nil
					}
					deadline, _ := ctx.Deadline()
					if got := time.Until(deadline); ctx.Err() != nil || got != tt.want {
						t.Errorf("context: %v, %v left; want none and %v", ctx.Err(), got, tt.want)
					}
					return nil
				})
				_ = run(ctx, redis.NewCmd(ctx, tt.args...))
			})
		})
	}
}

func TestKeepBookkeepingLeavesADeadlineThatEndedTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(2 * time.Second)
		run := asynqx.KeepBookkeeping{}.ProcessHook(func(ctx context.Context, _ redis.Cmder) error { return ctx.Err() })
		err := run(ctx, redis.NewCmd(ctx, "evalsha", "sha", 1, "asynq:{q}:active"))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline's error", err)
		}
	})
}

func TestHooksLeaveAHealthyClientAlone(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		c.AddHook(new(asynqx.PauseOnError))
		c.AddHook(asynqx.KeepBookkeeping{})
		script := redis.NewScript(`return redis.call("RPUSH", KEYS[1], ARGV[1])`)
		for want := range int64(3) {
			n, err := script.Run(t.Context(), c, []string{"asynq:{q}:active"}, "x").Int64()
			if err != nil || n != want+1 {
				t.Fatalf("run %d: %d, %v", want+1, n, err)
			}
		}
	})
}

// A process whose task was given to another is told that its bookkeeping is done; what
// else Redis answers stays.
func TestKeepBookkeepingTakesATaskThatIsWithOthersForDone(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		c.AddHook(asynqx.KeepBookkeeping{})
		for _, tt := range []struct{ key, says, want string }{
			{"asynq:{q}:active", "NOT FOUND", ""},
			{"asynq:{q}:active", "INTERNAL", "INTERNAL"},
			{"asynq:{q}:pending", "NOT FOUND", "NOT FOUND"},
		} {
			for name, ctx := range map[string]context.Context{"turn": t.Context(), "recoverer": context.Background()} {
				err := redis.NewScript(`return redis.error_reply(ARGV[1])`).Run(ctx, c, []string{tt.key}, tt.says).Err()
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %s on %s: %v, want %q", name, tt.says, tt.key, err, tt.want)
				}
			}
		}
	})
}
