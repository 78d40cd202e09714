package enqueue

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// captured is what asynq's client would have told Redis to enqueue one task.
type captured struct {
	id   string
	keys []string
	args []any
}

// capture is a Redis client that sends nothing. asynq's client believes that it
// enqueues through it, and so tells its script, keys and arguments: the task in
// Redis is asynq's own by construction, without its private packages.
type capture struct {
	redis.UniversalClient // nil: a call that is not below is a change in asynq, and panics in the tests
}

type captureKey struct{}

// shot is what one enqueueing told.
type shot struct {
	source string
	task   captured
}

func (capture) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(redis.ErrNoScript) // so that asynq sends the script's source
	return cmd
}

func (capture) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	s := ctx.Value(captureKey{}).(*shot)
	s.source, s.task.keys, s.task.args = script, keys, args
	cmd := redis.NewCmd(ctx)
	cmd.SetVal(int64(1))
	return cmd
}

// SAdd is how asynq makes a queue's name known; [Client] does that itself, once.
func (capture) SAdd(ctx context.Context, _ string, _ ...any) *redis.IntCmd {
	return redis.NewIntCmd(ctx)
}

// captureTask has asynq compose a task with the options that the promise depends
// on: a fixed ID, no retry limit (the budget is the ledger's), nothing retained.
func captureTask(client *asynq.Client, queue, kind, id, payload string) (string, captured, error) {
	s := &shot{task: captured{id: id}}
	ctx := context.WithValue(context.Background(), captureKey{}, s)
	_, err := client.EnqueueContext(ctx, asynq.NewTask(kind, []byte(payload)),
		asynq.Queue(queue), asynq.TaskID(id), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(tasks.TurnTimeout))
	if err != nil {
		return "", captured{}, fmt.Errorf("enqueue: composing the asynq task %s: %w", id, err)
	}
	return s.source, s.task, nil
}

var (
	//go:embed task.lua
	taskLua string
	//go:embed gather.lua
	gatherLua string
	//go:embed room.lua
	roomLua string
	//go:embed create.lua
	createLua string
	//go:embed requeue.lua
	requeueLua string
	//go:embed giveback.lua
	giveBackLua string
)

// scripts are our scripts, two of them with asynq's own source in them.
type scripts struct {
	create, requeue, giveBack, room *redis.Script
	// keys and args are how many of each asynq's script takes for a task.
	keys, args int
}

func newScripts(client *asynq.Client) (scripts, error) {
	source, sample, err := captureTask(client, tasks.QueueCallback, tasks.TypeDeliverCallback, "sample", "sample")
	if err != nil {
		return scripts{}, err
	}
	gathering, err := gatherTasks(source)
	if err != nil {
		return scripts{}, err
	}
	return scripts{
		create:   redis.NewScript(gatherLua + gathering + taskLua + ledger.InsertLua + roomLua + createLua),
		requeue:  redis.NewScript(function("asynq", "KEYS, ARGV", source) + taskLua + requeueLua),
		giveBack: redis.NewScript(taskLua + giveBackLua),
		room:     redis.NewScript(roomLua + "local used, max = memory()\nreturn {used, max}\n"),
		keys:     len(sample.keys), args: len(sample.args),
	}, nil
}

// gatherTasks is asynq's script (v0.26.0 internal/rdb/rdb.go, enqueueCmd) as a function
// that calls exists and gather of gather.lua instead of two commands. What it writes
// into the task's hash is as asynq writes it.
func gatherTasks(source string) (string, error) {
	for command, instead := range map[string]string{
		`redis.call("EXISTS", KEYS[1])`:         `exists(KEYS[1])`,
		`redis.call("LPUSH", KEYS[2], ARGV[2])`: `gather(KEYS[2], ARGV[2])`,
	} {
		if strings.Count(source, command) != 1 {
			return "", errOtherTask
		}
		source = strings.Replace(source, command, instead, 1)
	}
	return function("asynq", "KEYS, ARGV", source), nil
}

// function wraps a script's source as a Lua function, whose parameters take the
// place of the globals of the same names.
func function(name, params, body string) string {
	return "local function " + name + "(" + params + ")\n" + strings.TrimSpace(body) + "\nend\n"
}

// queueKey is one of asynq's keys of a queue (asynq v0.26.0, internal/base/base.go).
func queueKey(queue, part string) string { return "asynq:{" + queue + "}:" + part }

// taskKey is where asynq keeps a task's message and state.
func taskKey(queue, id string) string { return queueKey(queue, "t:"+id) }

// listKeys are the lists of a queue in which a task may stand.
func listKeys(queue string) []string {
	keys := []string{"pending", "active", "lease", "scheduled", "retry", "archived", "completed"}
	for i, k := range keys {
		keys[i] = queueKey(queue, k)
	}
	return keys
}
