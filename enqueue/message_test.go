package enqueue_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// For every length that an ID may have, and for both queues, Redis holds what asynq's
// own client writes: the same keys, fields and bytes, in the same order.
func TestTasksAreThoseThatAsynqsClientWrites(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx := t.Context()
		var jobs []tasks.Job
		own := asynq.NewClientFromRedisClient(c)
		start := time.Now()
		for length := 1; length <= 128; length++ {
			for _, p := range []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh} {
				// "n" and "h" begin the IDs, so that those of the two queues differ.
				id := (string(p) + "n")[:1] + strings.Repeat("ab.:@/=+Z-_0", 11)
				j := withPriority(newJob(id[:length]), p)
				j.Request.InstanceName = "x"
				jobs = append(jobs, j)
				if _, err := own.EnqueueContext(ctx, asynq.NewTask(tasks.TypeCreateInstance, []byte(j.ID)),
					asynq.Queue(tasks.JobQueue(account, p)), asynq.TaskID(j.ID), asynq.MaxRetry(math.MaxInt32), asynq.Timeout(tasks.TurnTimeout)); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := asynqsKeys(t, c, start)
		c.FlushDB(ctx)
		start = time.Now()
		client := newClient(t, c, dataKey)
		for step := range slices.Chunk(jobs, stepSize) {
			if sum, err := client.CreateAll(ctx, sequence(step...), nil); err != nil || sum.Queued != len(step) {
				t.Fatalf("%+v, %v", sum, err)
			}
		}
		if diff := cmp.Diff(want, asynqsKeys(t, c, start)); diff != "" {
			t.Errorf("(-asynq's own +ours):\n%.2000s", diff)
		}
	})
}

// asynqsKeys reads everything of asynq. A time of enqueueing is checked, and replaced.
func asynqsKeys(t *testing.T, c redis.UniversalClient, start time.Time) map[string]string {
	t.Helper()
	ctx, out := t.Context(), map[string]string{}
	for _, key := range c.Keys(ctx, "asynq:*").Val() {
		switch kind := c.Type(ctx, key).Val(); kind {
		case "hash":
			fields := c.HGetAll(ctx, key).Val()
			since, err := strconv.ParseInt(fields["pending_since"], 10, 64)
			if at := time.Unix(0, since); err != nil || at.Before(start) || at.After(time.Now()) {
				t.Errorf("%s is pending since %q", key, fields["pending_since"])
			}
			fields["pending_since"] = "checked"
			out[key] = fmt.Sprintf("%q", fields)
		case "list":
			out[key] = fmt.Sprintf("%q", c.LRange(ctx, key, 0, -1).Val())
		case "set":
			members := c.SMembers(ctx, key).Val()
			slices.Sort(members)
			out[key] = fmt.Sprintf("%q", members)
		default:
			t.Errorf("%s is a %s", key, kind)
		}
	}
	return out
}
