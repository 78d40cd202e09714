package redisconn

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/humanize"
)

// CheckTime bounds each single check.
const CheckTime = 15 * time.Second

const (
	LevelOK   = "ok"
	LevelWarn = "warn"
	LevelFail = "FAIL"
)

func Number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// Server is what one Redis server says of itself. What it does not say is "".
type Server struct {
	Addr, Product, Version, Mode, Role     string
	appendonly, appendfsync, policy, Limit string
	Used, Replicas, MinReplicas            string
	// latency is the middle one of some round trips; err is why there was none.
	Latency time.Duration
	Err     error
}

// pings returns the middle one of some round trips, the first of which, with its
// connecting, does not count.
func pings(ctx context.Context, c redis.Cmdable) (time.Duration, error) {
	var took []time.Duration
	for range 6 {
		start := time.Now()
		if err := c.Ping(ctx).Err(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
	}
	took = took[1:]
	slices.Sort(took)
	return took[len(took)/2], nil
}

// Servers asks each server that is written to. Hosted ones often forbid CONFIG;
// INFO then says most of it.
func Servers(ctx context.Context, c redis.UniversalClient) []Server {
	one, ok := c.(*redis.ClusterClient)
	if !ok {
		return []Server{serverInfo(ctx, c, "")}
	}
	var mu sync.Mutex
	var all []Server
	_ = one.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		ctx, cancel := context.WithTimeout(ctx, CheckTime)
		defer cancel()
		s := serverInfo(ctx, master, master.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
		return nil
	})
	slices.SortFunc(all, func(a, b Server) int { return strings.Compare(a.Addr, b.Addr) })
	return all
}

func serverInfo(ctx context.Context, c redis.Cmdable, addr string) Server {
	latency, err := pings(ctx, c)
	if err != nil {
		return Server{Addr: addr, Err: err}
	}
	said := map[string]string{}
	for _, section := range []string{"server", "replication", "persistence", "memory"} {
		for line := range strings.Lines(c.Info(ctx, section).Val()) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				said[name] = value
			}
		}
	}
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory-policy", "maxmemory", "min-replicas-to-write"} {
		for name, value := range c.ConfigGet(ctx, name).Val() {
			said[name] = value
		}
	}
	aof := map[string]string{"0": "no", "1": "yes"}[said["aof_enabled"]]
	s := Server{
		Addr: addr, Product: "Redis", Version: said["redis_version"], Mode: said["redis_mode"], Role: said["role"],
		appendonly: humanize.Or(said["appendonly"], aof), appendfsync: said["appendfsync"],
		policy: humanize.Or(said["maxmemory-policy"], said["maxmemory_policy"]), Limit: said["maxmemory"],
		Used: said["used_memory"], Replicas: said["connected_slaves"], MinReplicas: said["min-replicas-to-write"], Latency: latency,
	}
	if said["valkey_version"] != "" { // which says besides, as redis_version, what it is compatible with
		s.Product, s.Version, s.Mode = "Valkey", said["valkey_version"], humanize.Or(said["server_mode"], s.Mode)
	}
	return s
}

// durabilityFinding is what one thing that a server says of itself means for the jobs that
// it is given to keep.
type durabilityFinding struct {
	What  string // role, durability or eviction
	Level string // as in checkResult
	// setting is the one at fault, as Redis names it; "" if the server does not report it.
	Setting    string
	Text, Hint string
}

// Findings reports how well the server keeps what is written to it. where names it.
func (s Server) Findings(where string) []durabilityFinding {
	return []durabilityFinding{s.roleFinding(where), s.durabilityFinding(where), s.evictionFinding(where)}
}

func (s Server) roleFinding(where string) durabilityFinding {
	switch s.Role {
	case "master":
		return durabilityFinding{"role", LevelOK, "role master", "master", ""}
	case "":
		return durabilityFinding{"role", LevelWarn, "", where + " does not report whether it is a master", "make sure that it is one, or nothing can be written"}
	}
	return durabilityFinding{"role", LevelFail, "role " + s.Role, where + " is a replica, which cannot be written to", "name the master in CAMSQ_REDIS_URL"}
}

func (s Server) durabilityFinding(where string) durabilityFinding {
	const (
		what = "durability"
		lost = "a crash of Redis loses jobs, and the marks that keep a call from being made twice"
	)
	setting := "appendfsync " + s.appendfsync
	switch {
	case s.appendonly == "":
		return durabilityFinding{what, LevelWarn, "", where + " does not report whether it has an append-only file", "without one " + lost}
	case s.appendonly != "yes":
		return durabilityFinding{what, LevelWarn, "appendonly " + s.appendonly, where + " has NO append-only file: " + lost, "set appendonly yes"}
	case s.appendfsync == "no":
		return durabilityFinding{what, LevelWarn, setting, "the append-only file is synced when the system likes: its crash loses what was written for up to half a minute", "set appendfsync everysec, or always"}
	case s.appendfsync == "always":
		return durabilityFinding{what, LevelOK, setting, "append-only file, synced with every write", ""}
	}
	return durabilityFinding{what, LevelOK, setting, "append-only file; the last second or two may be lost if the machine dies (appendfsync always: none)", ""}
}

func (s Server) evictionFinding(where string) durabilityFinding {
	const what = "eviction"
	setting := "maxmemory-policy " + s.policy
	switch {
	case s.policy == "noeviction":
		return durabilityFinding{what, LevelOK, setting, "none (maxmemory-policy noeviction)", ""}
	case s.policy == "":
		return durabilityFinding{what, LevelWarn, "", where + " does not report its maxmemory-policy", "it must be noeviction, or jobs vanish when memory is short"}
	case s.Limit == "0":
		return durabilityFinding{what, LevelWarn, setting, "maxmemory-policy is " + s.policy + ", harmless while maxmemory is 0", "set noeviction before you set a limit"}
	}
	return durabilityFinding{what, LevelWarn, setting, "maxmemory-policy is " + s.policy + ": jobs vanish when memory is short", "set noeviction"}
}
