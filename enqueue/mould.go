package enqueue

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"

	"github.com/camsq/camsq/tasks"
)

// mould is the task that asynq composes for a job of a queue, but for the job's ID,
// for all IDs of one length: in asynq's message only the bytes of the ID are
// others. So asynq composes two tasks for many jobs, and not one for each.
type mould struct {
	// before, between and after are what the message has around the ID, which
	// stands in it twice: as the task's ID and as its payload.
	before, between, after string
	// stamp is asynq's time of enqueueing, in nanoseconds.
	stamp string
}

// castTask has asynq compose two tasks and sees where they differ. Its error means
// that asynq has begun to compose its tasks in another way.
func castTask(client *asynq.Client, queue string, length int) (mould, error) {
	var messages [2][]byte
	var m mould
	ids := [2]string{strings.Repeat("a", length), strings.Repeat("b", length)}
	for i, id := range ids {
		_, task, err := captureTask(client, queue, tasks.TypeCreateInstance, id, id)
		if err != nil {
			return mould{}, err
		}
		var ok bool
		if messages[i], m.stamp, ok = enqueueArgs(task, queue); !ok {
			return mould{}, errOtherTask
		}
	}
	parts, ok := around(messages, length)
	if !ok {
		return mould{}, errOtherTask
	}
	m.before, m.between, m.after = parts[0], parts[1], parts[2]
	return m, nil
}

var errOtherTask = errors.New("enqueue: this version of asynq composes its tasks in a way that is not known here; build with the version that go.mod names")

// enqueueArgs takes what asynq tells its enqueueCmd (v0.26.0, internal/rdb/rdb.go):
// the keys of task and pending list; message, ID and time.
func enqueueArgs(task captured, queue string) (message []byte, stamp string, ok bool) {
	if !slices.Equal(task.keys, []string{taskKey(queue, task.id), queueKey(queue, "pending")}) || len(task.args) != 3 || task.args[1] != task.id {
		return nil, "", false
	}
	message, isBytes := task.args[0].([]byte)
	at, isTime := task.args[2].(int64)
	return message, strconv.FormatInt(at, 10), isBytes && isTime
}

// around splits two messages at the places in which they differ: those must be two,
// of the given length.
func around(messages [2][]byte, length int) (parts [3]string, ok bool) {
	a, b := messages[0], messages[1]
	if len(a) != len(b) {
		return parts, false
	}
	part, from := 0, 0
	for i := 0; i < len(a); i++ {
		if a[i] == b[i] {
			continue
		}
		end := i + length
		if part == len(parts)-1 || end > len(a) || differing(a[i:end], b[i:end]) != length {
			return parts, false
		}
		parts[part] = string(a[from:i])
		part, from = part+1, end
		i = end - 1
	}
	parts[part] = string(a[from:])
	return parts, part == len(parts)-1
}

func differing(a, b []byte) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
