package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// AccountBatch is jobs of one account that [Client.Insert] writes in one atomic step.
type AccountBatch struct {
	Account string
	// Jobs are normalised and valid: at most a thousand.
	Jobs []*tasks.Job
	// Try names this write, as [ledger.NewTry] makes it: the same for each attempt, so
	// that an attempt recognises what an earlier one wrote.
	Try string
	// Distinct means that no ID comes twice.
	Distinct bool
	// HighWatermark is the share of maxmemory above which nothing new is written; 0 is
	// no limit.
	HighWatermark float64

	call *scriptCall // composed for the next attempt, or nil
}

// Existing is a job that was in Redis before an insert.
type Existing struct {
	// Same means that its sealed request has the same bytes. Another data key seals
	// the same request into other bytes.
	Same     bool
	State    tasks.State // "" if it cannot be read
	Priority tasks.Priority
}

// Prepare composes the call that the next [Client.Insert] of a batch sends. Insert does
// it for a batch that is not prepared.
func (c *Client) Prepare(b *AccountBatch) (err error) {
	if b.call == nil {
		b.call, err = c.prepareCall(b)
	}
	return err
}

// Insert writes the new jobs of some batches, each batch in one atomic step and all in
// one round trip. It returns for each batch that was written, in order, the jobs that
// existed before by their index; an error ends them, and all may be inserted again.
// The error may be an [*OutOfMemoryError].
func (c *Client) Insert(ctx context.Context, batches []*AccountBatch) ([]map[int]Existing, error) {
	calls := make([]*scriptCall, len(batches))
	for i, b := range batches {
		if err := c.Prepare(b); err != nil {
			return nil, err
		}
		calls[i], b.call = b.call, nil // a later attempt has a later time of enqueueing
	}
	if err := c.prepare(ctx, queuesOf(batches)...); err != nil {
		return nil, orOutOfMemory(batches[0].Account, err)
	}
	replies, err := c.exec(ctx, batches, calls)
	var inserted []map[int]Existing
	for i, reply := range replies {
		existing, bad := batches[i].read(reply)
		if bad != nil {
			err = bad
			break
		}
		inserted = append(inserted, existing)
	}
	return inserted, err
}

// queuesOf are the queues that the tasks of some batches go into.
func queuesOf(batches []*AccountBatch) []string {
	var queues []string
	for _, b := range batches {
		for _, priority := range []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh} {
			if slices.ContainsFunc(b.Jobs, func(j *tasks.Job) bool { return j.Priority == priority }) {
				queues = append(queues, tasks.JobQueue(b.Account, priority))
			}
		}
	}
	return queues
}

// exec runs the script for each batch, all in one round trip. The replies are in
// order; an error ends them.
func (c *Client) exec(ctx context.Context, batches []*AccountBatch, calls []*scriptCall) ([][]string, error) {
	cmds := make([]*redis.Cmd, len(batches))
	// Each command has its own error.
	_, _ = c.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i := range batches {
			cmds[i] = c.create.EvalSha(ctx, pipe, calls[i].keys, calls[i].args...)
		}
		return nil
	})
	var replies [][]string
	for i, cmd := range cmds {
		b := batches[i]
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			cmd = c.create.Run(ctx, c.rdb, calls[i].keys, calls[i].args...)
		}
		reply, err := cmd.StringSlice()
		if err != nil {
			return replies, orOutOfMemory(b.Account, fmt.Errorf("queue: writing %d jobs of account %s: %w", len(b.Jobs), b.Account, err))
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

var errReply = errors.New("queue: unexpected reply from create.lua")

// read reads a reply of create.lua.
func (b *AccountBatch) read(reply []string) (map[int]Existing, error) {
	if len(reply) == 3 && reply[0] == "full" {
		used, _ := strconv.ParseInt(reply[1], 10, 64)
		most, _ := strconv.ParseInt(reply[2], 10, 64)
		return nil, &OutOfMemoryError{Account: b.Account, Used: used, Max: most}
	}
	if len(reply)%2 != 1 || reply[0] != "ok" {
		return nil, errReply
	}
	existing := make(map[int]Existing, len(reply)/2)
	for i := 1; i < len(reply); i += 2 {
		n, err := strconv.Atoi(reply[i])
		if err != nil || n < 1 || n > len(b.Jobs) || reply[i+1] == "" {
			return nil, errReply
		}
		priority, head, _ := strings.Cut(reply[i+1][1:], " ")
		e := Existing{State: ledger.HeadState(head), Priority: tasks.Priority(priority)}
		// A head that cannot be read is another version's: its request may mean another
		// thing though its bytes are the same.
		e.Same = reply[i+1][0] == '=' && e.State != ""
		existing[n-1] = e
	}
	return existing, nil
}

// scriptCall is the keys and arguments of one call of create.lua.
type scriptCall struct {
	keys []string
	args []any
}

func (c *Client) prepareCall(b *AccountBatch) (*scriptCall, error) {
	normal, high := tasks.ProvisionQueue(b.Account), tasks.HighQueue(b.Account)
	call := &scriptCall{keys: make([]string, 0, 20+2*len(b.Jobs)), args: make([]any, 0, 20+3*len(b.Jobs))}
	call.keys = append(append(append(call.keys, asynqx.Lists(normal)...), asynqx.Lists(high)...), ledger.IndexKeys(b.Account)...)
	at := strconv.FormatInt(time.Now().UnixNano(), 10)
	counts, runs := b.runs()
	call.keys = append(call.keys, counts...)
	call.args = append(call.args, tasks.WakeChannel, normal, high, b.HighWatermark, b.Try, at, b.Distinct, len(counts))
	call.args = append(call.args, runs...)

	insertion := c.ledger.Insertion(b.Account)
	for _, j := range b.Jobs {
		record, sealed, err := insertion(*j)
		if err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
		queue := tasks.JobQueue(b.Account, j.Priority)
		message, err := c.composer.Message(asynqx.Task{Queue: queue, Type: tasks.TypeCreateInstance, ID: j.ID, Payload: j.ID, Timeout: tasks.TurnTimeout})
		if err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
		call.keys = append(call.keys, record, asynqx.TaskKey(queue, j.ID))
		call.args = append(call.args, j.ID, sealed, message)
	}
	return call, nil
}

// runs returns the priorities and batches of the jobs by runs of jobs that share them,
// and the keys of the counts of the runs' batches.
func (b *AccountBatch) runs() (counts []string, args []any) {
	first := 0
	for i, j := range b.Jobs {
		if i+1 < len(b.Jobs) {
			if next := b.Jobs[i+1]; next.Priority == j.Priority && next.Batch == j.Batch {
				continue
			}
		}
		counts = append(counts, ledger.BatchKey(b.Account, j.Batch))
		args = append(args, i+1-first, string(j.Priority), j.Batch)
		first = i + 1
	}
	return counts, args
}
