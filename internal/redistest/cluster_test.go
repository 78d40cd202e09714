package redistest_test

import (
	"testing"

	"github.com/camsq/camsq/internal/redistest"
)

func TestAReplicaOfAClusterTakesADeadMastersPlace(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	old := c.MasterOf("k")
	old.Kill()
	c.AwaitFailover("k", old)
	if got := c.MasterOf("k"); got != c.ReplicaOf(old) {
		t.Errorf("the master is %v, want the dead one's replica", got)
	}
	if err := c.MasterOf("k").Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Errorf("SET at the new master: %v", err)
	}
}
