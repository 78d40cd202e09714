package asynqx_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/redistest"
)

// turnpike is a gate that a test opens.
type turnpike struct {
	open chan struct{} // closed when tasks may be taken
	stop chan struct{} // closed when the server stops

	mu   sync.Mutex
	due  bool
	said []string
}

func newTurnpike() *turnpike {
	return &turnpike{open: make(chan struct{}), stop: make(chan struct{})}
}

func (g *turnpike) Enter(string) bool {
	select {
	case <-g.stop:
		return false
	case <-g.open:
		return true
	}
}

func (g *turnpike) Left(queue string, found bool) {
	if found {
		g.say("found " + queue)
	}
}

func (g *turnpike) Due(string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.due
}

func (g *turnpike) Came(queue string) { g.say("came " + queue) }

func (g *turnpike) say(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.said = append(g.said, what)
}

func (g *turnpike) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.said)
}

func isForward(cmd redis.Cmder) bool {
	n, key := script(cmd)
	return n == 2 && (strings.HasSuffix(key, ":retry") || strings.HasSuffix(key, ":scheduled"))
}

// An asynq server at a gate looks into its queue when the gate says so, and not
// before: this is what keeps hundreds of idle lanes cheap. If asynq changes the
// shape of its scripts, this test says so.
func TestAtAShutGateAsynqLooksIntoNoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		gate := newTurnpike()
		var looks atomic.Int64
		c.AddHook(asynqx.AtGate{Gate: gate})
		c.AddHook(spy(func(cmd redis.Cmder) error {
			if isDequeue(cmd) || isForward(cmd) {
				looks.Add(1)
			}
			return nil
		}))
		// asynq's own name for a queue may hold a brace: see tasks.HighQueue.
		const queue = "provision:acme}:high"
		ran := make(chan time.Time, 2)
		srv := asynq.NewServerFromRedisClient(c, asynq.Config{
			Queues: map[string]int{queue: 1}, TaskCheckInterval: time.Millisecond, DelayedTaskCheckInterval: time.Millisecond,
			Logger: quiet{}, LogLevel: asynq.FatalLevel,
		})
		err := srv.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
			ran <- time.Now()
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		client := asynq.NewClientFromRedisClient(c)
		for _, o := range [][]asynq.Option{{asynq.Queue(queue)}, {asynq.Queue(queue), asynq.ProcessIn(time.Second)}} {
			if _, err := client.Enqueue(asynq.NewTask("x", nil), o...); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if n := looks.Load(); n != 0 {
			t.Errorf("%d looks through a gate that is shut", n)
		}

		start := time.Now()
		close(gate.open)
		if took := (<-ran).Sub(start); took > 10*time.Millisecond {
			t.Errorf("the task ran %v after the gate was opened", took)
		}
		time.Sleep(time.Second)
		if len(ran) != 0 {
			t.Error("a task that comes back later came although none was due")
		}
		gate.mu.Lock()
		gate.due = true
		gate.mu.Unlock()
		<-ran
		// The look that waited for a minute takes nothing: its task's lease would be over.
		if said := gate.heard(); !slices.Equal(said, []string{"came " + queue, "found " + queue, "came " + queue, "found " + queue}) {
			t.Errorf("the gate was told %q", said)
		}
		close(gate.stop)
		srv.Shutdown()
		c.Close()
		time.Sleep(2 * time.Second)
	})
}

// A script that Redis has forgotten is sent again without asking a second time.
func TestAGateIsAskedOnceForEachLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		var asked atomic.Int64
		gate := countingGate{&asked}
		c.AddHook(asynqx.AtGate{Gate: gate})
		keys := []string{"asynq:{q}:pending", "asynq:{q}:paused", "asynq:{q}:active", "asynq:{q}:lease"}
		script := redis.NewScript("return redis.call('RPOPLPUSH', KEYS[1], KEYS[3])")
		for range 2 { // the second one is known
			if err := script.Run(t.Context(), c, keys).Err(); err != redis.Nil {
				t.Fatal(err)
			}
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times for 2 looks", n)
		}
	})
}

// An error is not an empty queue: a gate that shut then would stay shut for as long as
// Redis cannot be asked how deep the queue is.
func TestAGateStaysOpenAfterALookThatFailed(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want []string
	}{
		"empty":       {redis.Nil, nil},
		"CLUSTERDOWN": {reply("CLUSTERDOWN The cluster is down"), []string{"came q"}},
		"no answer":   {io.EOF, []string{"came q"}},
	} {
		gate := newTurnpike()
		close(gate.open)
		look := asynqx.AtGate{Gate: gate}.ProcessHook(func(context.Context, redis.Cmder) error { return tt.err })
		cmd := redis.NewCmd(t.Context(), "evalsha", "sha", 4, "asynq:{q}:pending", "asynq:{q}:paused", "asynq:{q}:active", "asynq:{q}:lease")
		if err := look(t.Context(), cmd); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
		if said := gate.heard(); !slices.Equal(said, tt.want) {
			t.Errorf("%s: the gate was told %q, want %q", name, said, tt.want)
		}
	}
}

type countingGate struct{ asked *atomic.Int64 }

func (g countingGate) Enter(string) bool { g.asked.Add(1); return true }
func (countingGate) Left(string, bool)   {}
func (countingGate) Due(string) bool     { return true }
func (countingGate) Came(string)         {}
