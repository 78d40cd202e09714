package asynqx

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Task is an asynq task with the options that camsq's promise depends on: a fixed ID,
// no retry limit (the budget is in the job's record), nothing retained.
type Task struct {
	Queue, Type, ID, Payload string
	// Timeout is the time after which asynq ends the task's context.
	Timeout time.Duration
}

// Call is what asynq's client sends to Redis to enqueue a task: the keys and arguments
// of its enqueue script.
type Call struct {
	Keys []string
	Args []any
}

// Composer has asynq's own client compose the messages and the script that enqueue
// tasks, so that a task in Redis is asynq's own by construction. It sends nothing.
type Composer struct {
	client *asynq.Client
	source string // asynq's enqueue script
	sample Call
}

// NewComposer returns a composer. Its error means that this version of asynq enqueues
// in a way that is unknown here.
func NewComposer() (*Composer, error) {
	c := &Composer{client: asynq.NewClientFromRedisClient(capture{})}
	sample, err := c.capture(Task{Queue: "sample", Type: "sample", ID: "sample", Payload: "sample", Timeout: time.Hour})
	if err != nil {
		return nil, err
	}
	c.source, c.sample = sample.source, sample.call
	if _, err := c.collecting(); err != nil {
		return nil, err
	}
	return c, nil
}

// Call composes the call that enqueues a task.
func (c *Composer) Call(t Task) (Call, error) {
	captured, err := c.capture(t)
	if err != nil {
		return Call{}, err
	}
	return captured.call, nil
}

// Message composes the message of a task, for a script that has the time of enqueueing
// from elsewhere. It is what [Call] has first, before the ID and the time.
func (c *Composer) Message(t Task) ([]byte, error) {
	call, err := c.Call(t)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(call.Keys, []string{TaskKey(t.Queue, t.ID), Key(t.Queue, "pending")}) || len(call.Args) != 3 || call.Args[1] != t.ID {
		return nil, errUnknownAsynq
	}
	message, ok := call.Args[0].([]byte)
	if !ok {
		return nil, errUnknownAsynq
	}
	return message, nil
}

// Size returns how many keys and arguments each [Call] has.
func (c *Composer) Size() (keys, args int) { return len(c.sample.Keys), len(c.sample.Args) }

var errUnknownAsynq = errors.New("asynqx: this version of asynq composes its tasks in an unknown way; build with the version that go.mod names")

// capturedCall is what one enqueueing sent.
type capturedCall struct {
	source string
	call   Call
}

func (c *Composer) capture(t Task) (*capturedCall, error) {
	captured := &capturedCall{}
	ctx := context.WithValue(context.Background(), captureKey{}, captured)
	_, err := c.client.EnqueueContext(ctx, asynq.NewTask(t.Type, []byte(t.Payload)),
		asynq.Queue(t.Queue), asynq.TaskID(t.ID), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(t.Timeout))
	if err != nil {
		return nil, fmt.Errorf("asynqx: composing the task %s: %w", t.ID, err)
	}
	return captured, nil
}

// capture is a Redis client that keeps the script, keys and arguments that asynq's
// client sends, and sends nothing.
type capture struct {
	redis.UniversalClient // nil: any other call is a change in asynq, and panics in the tests
}

type captureKey struct{}

func (capture) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(redis.ErrNoScript) // so that asynq sends the script's source
	return cmd
}

func (capture) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	*ctx.Value(captureKey{}).(*capturedCall) = capturedCall{source: script, call: Call{keys, args}}
	cmd := redis.NewCmd(ctx)
	cmd.SetVal(int64(1))
	return cmd
}

// SAdd is how asynq registers a queue's name; [AddQueues] does that once for many tasks.
func (capture) SAdd(ctx context.Context, _ string, _ ...any) *redis.IntCmd {
	return redis.NewIntCmd(ctx)
}

var (
	//go:embed task.lua
	taskLua string
	//go:embed gather.lua
	gatherLua string
)

// EnsureLua defines the Lua functions enqueue, which is asynq's own script, and ensure,
// which enqueues a task that is not on its way to a worker: see task.lua.
func (c *Composer) EnsureLua() string {
	return function("enqueue", "KEYS, ARGV", c.source) + taskLua
}

// BulkLua is [Composer.EnsureLua] for a script that enqueues many tasks: enqueue
// collects the IDs, and pushAll pushes them with one command for each list.
func (c *Composer) BulkLua() string {
	collecting, err := c.collecting()
	if err != nil {
		panic(err) // NewComposer has tried it
	}
	return gatherLua + collecting + taskLua
}

// collecting is asynq's script (v0.26.0 internal/rdb/rdb.go, enqueueCmd) as a function
// that calls exists and collect of gather.lua instead of two commands. What it writes
// into the task's hash is as asynq writes it.
func (c *Composer) collecting() (string, error) {
	source := c.source
	for command, instead := range map[string]string{
		`redis.call("EXISTS", KEYS[1])`:         `exists(KEYS[1])`,
		`redis.call("LPUSH", KEYS[2], ARGV[2])`: `collect(KEYS[2], ARGV[2])`,
	} {
		if strings.Count(source, command) != 1 {
			return "", errUnknownAsynq
		}
		source = strings.Replace(source, command, instead, 1)
	}
	return function("enqueue", "KEYS, ARGV", source), nil
}

// function wraps a script's source as a Lua function, whose parameters take the
// place of the globals of the same names.
func function(name, params, body string) string {
	return "local function " + name + "(" + params + ")\n" + strings.TrimSpace(body) + "\nend\n"
}
