package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// A server in cluster mode refuses a script or a transaction whose keys lie in
// different slots, even if it has all of them.
func TestAFileBecomesInstancesOnARedisCluster(t *testing.T) {
	t.Parallel()
	w := newDeployment(t, camstest.Config{})
	w.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--cluster-enabled", "yes")
	c := w.redis.Client()
	if err := c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is up", func() bool {
		return strings.Contains(c.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	w.env = append(w.env, "CAMSQ_REDIS_URL=redis+cluster://"+w.redis.Addr())
	file, ids := lossFile(t, 6)
	w.cloud.FailName("shop_1", camstest.Fault{Created: true, Reply: camstest.ReplyReset})
	w.cloud.FailName("shop_2", camstest.Fault{Reply: camstest.ReplyRejected})

	p := w.worker(t)
	run := camsq(t, w.env, "enqueue", "--wait", file)
	if code := run.exit(time.Minute); code != exit.CodeSomeFailed {
		t.Fatalf("enqueue --wait: exit code %d\n%s", code, run.output())
	}
	eventually(t, "every outcome and the batch are told", func() bool { n, _, _ := w.events.counts(); return n == len(ids)+1 })
	for i, o := range w.outcomes(t, ids) {
		want := tasks.StateCreated
		if i == "job-2" {
			want = tasks.StateFailed
		}
		if o.State != want || o.Adopted != (i == "job-1") {
			t.Errorf("%s: %+v", i, o)
		}
	}
	for _, args := range [][]string{{"status"}, {"status", "shops"}, {"failed"}, {"retry", "job-2"}, {"check"}} {
		if o := camsq(t, w.env, args...); o.exit(time.Minute) != exit.CodeOK {
			t.Errorf("camsq %q:\n%s", args, o.output())
		}
	}
	eventually(t, "the job that was put back is created", func() bool { return w.outcomes(t, ids)["job-2"].State == tasks.StateCreated })
	eventually(t, "its outcome, and the batch again, are told", func() bool { n, _, _ := w.events.counts(); return n == len(ids)+3 })
	p.terminate()
	if code := p.exit(time.Minute); code != exit.CodeOK || strings.Contains(p.output(), "CROSSSLOT") {
		t.Errorf("worker: exit code %d\n%s", code, p.output())
	}
}
