package check

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/redisconn"
)

// checkMemory says how full a server is. At maxmemory nothing can be taken or recorded.
func (k *checker) checkMemory(s redisconn.Server, where string) {
	used, most := redisconn.Number(s.Used), redisconn.Number(s.Limit)
	if most == 0 {
		return // there is no limit, or it is not reported
	}
	switch text := inspect.MemoryWarning(where, used, most); {
	case used >= most:
		k.fail(exit.CodeUnreachable, "redis memory", "", text, "give it more memory (maxmemory); jobs that have ended leave after CAMSQ_KEEP")
	case text != "":
		k.warn("redis memory", "", text, "give it more memory (maxmemory), or let workers take jobs out")
	default:
		k.ok("redis memory", "", "uses %d of its %d MB", used/inspect.MiB, most/inspect.MiB)
	}
}

// checkReplicas warns of a failover that forgets what only the master has.
func (k *checker) checkReplicas(s redisconn.Server, where string) {
	replicas := redisconn.Number(s.Replicas)
	if s.Role != "master" || replicas == 0 {
		return
	}
	switch s.MinReplicas {
	case "":
		k.warn("redis failover", "", fmt.Sprintf("%s has %s, and does not report whether it waits for any: a failover may lose writes", where, humanize.Plural(replicas, "replica")),
			"make sure that min-replicas-to-write is 1 or more; docs/operations.md says what a failover can lose")
	case "0":
		k.warn("redis failover", "", fmt.Sprintf("%s has %s and min-replicas-to-write 0: a failover may lose writes, and with them what keeps a call from being made twice",
			where, humanize.Plural(replicas, "replica")), "set min-replicas-to-write 1; docs/operations.md says what is left")
	default:
		k.ok("redis failover", "", "%s, min-replicas-to-write %s: a failover may lose the writes of min-replicas-max-lag at most", humanize.Plural(replicas, "replica"), s.MinReplicas)
	}
}

// checkCoverage asks whether every slot of a cluster has a server. That the server is
// there is asked of each.
func (k *checker) checkCoverage(ctx context.Context, a *app.App) {
	c, ok := a.Redis.(*redis.ClusterClient)
	if !ok {
		return
	}
	info := map[string]string{}
	for line := range strings.Lines(c.ClusterInfo(ctx).Val()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	const slots = 16384
	switch assigned, failed := redisconn.Number(info["cluster_slots_assigned"]), redisconn.Number(info["cluster_slots_fail"]); {
	case len(info) == 0:
		k.warn("redis cluster", "", "the cluster does not report its state", "make sure that all its slots have a master")
	case assigned < slots:
		k.fail(exit.CodeUnreachable, "redis cluster", "", fmt.Sprintf("%d of %d slots have no master: what lies there stands", slots-assigned, slots), "redis-cli --cluster fix")
	case failed > 0:
		k.fail(exit.CodeUnreachable, "redis cluster", "", fmt.Sprintf("%d of %d slots have a master that has failed: what lies there stands", failed, slots), "start it, or let a replica take its place")
	case info["cluster_state"] != "ok":
		k.fail(exit.CodeUnreachable, "redis cluster", "", "its state is "+info["cluster_state"], "see cluster info of its nodes")
	default:
		k.ok("redis cluster", "", "state ok, %s, all slots have a master", humanize.Plural(redisconn.Number(info["cluster_size"]), "master"))
	}
}

// checkScripts reports the tryout. What several accounts have in common is reported once.
func (k *checker) checkScripts(ctx context.Context, a *app.App) {
	names, said := a.Config.Names(), map[string]bool{}
	for i, err := range a.Tryout(ctx) {
		if err == nil || said[err.Error()] {
			continue
		}
		said[err.Error()] = true
		account := names[i]
		if len(names) == 1 {
			account = ""
		}
		k.redisFailsAt("redis scripts", account, a.Config.RedisHost(), err)
	}
	if len(said) == 0 {
		k.ok("redis scripts", "", "run, and keys under camsq: are written and deleted")
	}
}
