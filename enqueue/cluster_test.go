package enqueue_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// startCluster starts a cluster of one server. It refuses a script or a transaction
// whose keys lie in different slots, as any cluster does.
func startCluster(t *testing.T) *redis.ClusterClient {
	t.Helper()
	server := redistest.Start(t, "--cluster-enabled", "yes")
	node := server.Client()
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(node.ClusterInfo(t.Context()).Val(), "cluster_state:ok"); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the cluster does not come up")
		}
	}
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr()}})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestBothQueuesOfAnAccountAndItsRecordsLieInOneSlotOfACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	slot := func(key string) int64 {
		n, err := c.ClusterKeySlot(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := slot(ledger.JobKey(newJob("a").Ref()))
	if want == slot(ledger.JobKey(tasks.Ref{Account: "other", ID: "a"})) {
		t.Fatal("all accounts lie in one slot: this cannot prove anything")
	}
	for _, q := range []string{tasks.ProvisionQueue(account), tasks.HighQueue(account)} {
		for _, part := range []string{"t:a", "pending", "active", "lease", "scheduled", "retry", "archived", "completed"} {
			if got := slot(keysOf(q)(part)); got != want {
				t.Errorf("%s lies in slot %d, the record in %d", keysOf(q)(part), got, want)
			}
		}
	}
}

func TestBothPrioritiesWorkOnACluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx, client := t.Context(), newClient(t, c, dataKey)
	var jobs []tasks.Job
	for _, name := range []string{account, "other"} {
		for id, p := range map[string]tasks.Priority{"normal": tasks.PriorityNormal, "high": tasks.PriorityHigh} {
			j := withPriority(newJob(id), p)
			j.Account = name
			jobs = append(jobs, j)
		}
	}
	if sum, err := client.CreateAll(ctx, sequence(jobs...), nil); err != nil || sum != (enqueue.Summary{Queued: 4}) {
		t.Fatalf("%+v, %v", sum, err)
	}
	depths, err := client.Depths(ctx, []string{account, "none", "other"})
	if one := (tasks.Depth{Normal: 1, High: 1}); err != nil || len(depths) != 3 || depths[0] != one || depths[2] != one || depths[1] != (tasks.Depth{}) {
		t.Errorf("Depths: %+v, %v", depths, err)
	}
	for _, j := range jobs {
		if n, _, err := client.Position(ctx, tasks.Record{Job: j}); n != 0 || err != nil {
			t.Errorf("Position(%s): %d, %v; want 0", j.Ref(), n, err)
		}
	}
	c.Del(ctx, keysOf(queue)("t:normal"))
	c.Del(ctx, keysOf(highQueue)("t:high"))
	if n, err := client.Requeue(ctx, account, page("normal", "high")); n != 2 || err != nil {
		t.Errorf("Requeue: %d, %v; want 2", n, err)
	}
	if live, archived, unleased, err := client.Survey(ctx, account); live != 2 || len(archived)+len(unleased) != 0 || err != nil {
		t.Errorf("Survey: %d live, archived %q, unleased %q, %v", live, archived, unleased, err)
	}
	if err := client.Callback(ctx, newJob("high").Ref()); err != nil {
		t.Errorf("Callback: %v", err)
	}
	mustWait(t, c, highQueue, "high")
	mustWait(t, c, tasks.QueueCallback, "acme/high")

	dequeue(ctx, c, keysOf(queue), "normal", 1000)
	dequeue(ctx, c, keysOf(highQueue), "high", 2000)
	leases, leaseErr := client.Leases(ctx, queue, highQueue)
	if diff := cmp.Diff([]map[string]int64{{"normal": 1000}, {"high": 2000}}, leases); diff != "" || leaseErr != nil {
		t.Errorf("Leases: %v (-want +got):\n%s", leaseErr, diff)
	}
	if n, err := client.GiveBack(ctx, highQueue, leases[1]); n != 1 || err != nil {
		t.Errorf("GiveBack: %d, %v; want 1", n, err)
	}
	mustWait(t, c, highQueue, "high")

	ears := listen(t, c)
	create(t, client, withPriority(newJob("more"), tasks.PriorityHigh), enqueue.StatusQueued)
	ears.must(t, "a cluster", highQueue)
}
