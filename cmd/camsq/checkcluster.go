package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
)

// checkMemory says how full a server is. At maxmemory nothing can be taken or recorded.
func (k *checkup) checkMemory(s server, where string) {
	used, most := number(s.used), number(s.limit)
	if most == 0 {
		return // there is no limit, or it does not tell
	}
	switch text := fullness(where, used, most); {
	case used >= most:
		k.fail(exitUnreachable, "redis memory", "", text, "give it more memory (maxmemory); jobs that have ended leave after CAMSQ_KEEP")
	case text != "":
		k.warn("redis memory", "", text, "give it more memory (maxmemory), or let workers take jobs out")
	default:
		k.ok("redis memory", "", "uses %d of its %d MB", used/mb, most/mb)
	}
}

// fullness says that a server is full, or too full for an import, or is "".
func fullness(where string, used, most int64) string {
	switch {
	case most <= 0:
		return ""
	case used >= most:
		return fmt.Sprintf("%s is full: it uses %d of its %d MB, and no job can be taken or recorded", where, used/mb, most/mb)
	case float64(used) > enqueue.DefaultRoom*float64(most):
		return fmt.Sprintf("%s uses %d of its %d MB: files are taken below %.0f %% again", where, used/mb, most/mb, 100*enqueue.DefaultRoom)
	}
	return ""
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// checkReplicas warns of a failover that forgets what only the master has.
func (k *checkup) checkReplicas(s server, where string) {
	replicas := number(s.replicas)
	if s.role != "master" || replicas == 0 {
		return
	}
	switch s.minReplicas {
	case "":
		k.warn("redis failover", "", fmt.Sprintf("%s has %s, and does not tell whether it waits for any: a failover may lose writes", where, plural(replicas, "replica")),
			"make sure that min-replicas-to-write is 1 or more; docs/operations.md says what a failover can lose")
	case "0":
		k.warn("redis failover", "", fmt.Sprintf("%s has %s and min-replicas-to-write 0: a failover may lose writes, and with them what keeps a call from being made twice",
			where, plural(replicas, "replica")), "set min-replicas-to-write 1; docs/operations.md says what is left")
	default:
		k.ok("redis failover", "", "%s, min-replicas-to-write %s: a failover may lose the writes of min-replicas-max-lag at most", plural(replicas, "replica"), s.minReplicas)
	}
}

// checkCoverage asks whether every slot of a cluster has a server. That the server is
// there is asked of each.
func (k *checkup) checkCoverage(ctx context.Context, n *node) {
	c, ok := n.rdb.(*redis.ClusterClient)
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
	switch assigned, failed := number(info["cluster_slots_assigned"]), number(info["cluster_slots_fail"]); {
	case len(info) == 0:
		k.warn("redis cluster", "", "the cluster does not tell how it stands", "make sure that all its slots have a master")
	case assigned < slots:
		k.fail(exitUnreachable, "redis cluster", "", fmt.Sprintf("%d of %d slots have no master: what lies there stands", slots-assigned, slots), "redis-cli --cluster fix")
	case failed > 0:
		k.fail(exitUnreachable, "redis cluster", "", fmt.Sprintf("%d of %d slots have a master that has failed: what lies there stands", failed, slots), "start it, or let a replica take its place")
	case info["cluster_state"] != "ok":
		k.fail(exitUnreachable, "redis cluster", "", "its state is "+info["cluster_state"], "see cluster info of its nodes")
	default:
		k.ok("redis cluster", "", "state ok, %s, all slots have a master", plural(number(info["cluster_size"]), "master"))
	}
}

// tryoutLua is a script of the kind that camsq and asynq use: its keys are in variables.
// It writes a key, and deletes it.
const tryoutLua = `local key = KEYS[1]
redis.call('SET', key, ARGV[1], 'PX', 60000)
local found = redis.call('GET', key)
redis.call('DEL', key)
return found`

// tryout has each account's part of Redis run a script, and write and delete.
func (n *node) tryout(ctx context.Context) []error {
	script, try := redis.NewScript(tryoutLua), rand.Text()
	names := n.config.names()
	return eachAccount(ctx, names, func(ctx context.Context, i int) error {
		key := ledger.TryoutKey(names[i], try)
		// Not by EVALSHA: that may be let through while the script is in Redis's memory.
		found, err := script.Eval(ctx, n.rdb, []string{key}, try).Text()
		if err != nil {
			return err
		}
		if found != try {
			return fmt.Errorf("a script that wrote %q read %.40q", try, found)
		}
		if err := n.rdb.Set(ctx, key, try, time.Minute).Err(); err != nil {
			return err
		}
		return n.rdb.Del(ctx, key).Err()
	})
}

// checkScripts tells of the tryout. What several accounts meet is said once.
func (k *checkup) checkScripts(ctx context.Context, n *node) {
	names, said := n.config.names(), map[string]bool{}
	for i, err := range n.tryout(ctx) {
		if err == nil || said[err.Error()] {
			continue
		}
		said[err.Error()] = true
		account := names[i]
		if len(names) == 1 {
			account = ""
		}
		k.redisFailsAt("redis scripts", account, n.config.redisHost(), err)
	}
	if len(said) == 0 {
		k.ok("redis scripts", "", "run, and keys under camsq: are written and deleted")
	}
}
