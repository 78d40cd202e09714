package redisconn_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/redistest"
)

// go-redis by itself looks each minute who is master of what.
func TestAClientOfAClusterFollowsAFailover(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, "--cluster-require-full-coverage", "no")
	c, err := redisconn.Open(cluster.URL(), redisconn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	const lost, kept = "{us}", "{apac}"
	keys := []string{lost, kept}
	old := cluster.MasterOf(lost)
	if old == cluster.MasterOf(kept) {
		t.Fatal("both keys have one master: this cannot prove anything")
	}
	ask := func() (errs []error) {
		cmds := make([]*redis.StatusCmd, len(keys))
		redisconn.Apart(ctx, c, keys, func(p redis.Pipeliner, some []int) {
			for _, i := range some {
				cmds[i] = p.Set(ctx, keys[i], "v", 0)
			}
		})
		for _, cmd := range cmds {
			errs = append(errs, cmd.Err())
		}
		return errs
	}
	if errs := ask(); errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}

	old.Pause() // it does not even refuse
	start := time.Now()
	if errs := ask(); errs[1] != nil {
		t.Errorf("what another server has failed beside a frozen one: %v", errs[1])
	} else if took := time.Since(start); errs[0] != nil && took > 4*redisconn.AskTime {
		t.Errorf("a frozen server held the others up for %v", took)
	}
	old.Resume()

	old.Kill()
	for {
		errs := ask()
		if errs[1] != nil {
			t.Errorf("what another server has: %v", errs[1])
		}
		if m := cluster.MasterOf(lost); m != nil && m != old {
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for errs := ask(); errs[0] != nil; errs = ask() {
		if ctx.Err() != nil {
			t.Fatalf("20 s after the failover: %v", errs[0])
		}
	}
}

func TestApartIsOnePipelineWithoutACluster(t *testing.T) {
	_, c := redistest.Mini(t)
	var groups [][]int
	redisconn.Apart(t.Context(), c, []string{"a", "b", "c"}, func(p redis.Pipeliner, some []int) {
		groups = append(groups, some)
		p.Ping(t.Context())
	})
	if len(groups) != 1 || !slices.Equal(groups[0], []int{0, 1, 2}) {
		t.Errorf("groups %v", groups)
	}
}
