package enqueue_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

func TestAJobThatIsPutBackHasOneTaskHoweverOftenItIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		client := newClient(t, c, enqueue.NewDataKey())
		j := newJob("job-1")
		create(t, client, j, enqueue.StatusQueued)
		queue := tasks.ProvisionQueue(j.Normalize().Account)
		if err := c.Del(t.Context(), "asynq:{"+queue+"}:pending", "asynq:{"+queue+"}:t:job-1").Err(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := client.Provision(t.Context(), j.Normalize().Account, []string{"job-1"}); err != nil {
				t.Fatal(err)
			}
			mustWait(t, c, queue, "job-1")
		}
		if err := client.Provision(t.Context(), j.Normalize().Account, nil); err != nil {
			t.Errorf("no jobs at all: %v", err)
		}
	})
}
