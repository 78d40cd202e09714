package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

// oldestRedis is the first that has ZRANGE by score, which the ledger uses.
const oldestRedis = "6.2"

// checkRedis asks whether Redis answers and keeps what it is told.
func (k *checkup) checkRedis(ctx context.Context, n *node) {
	ctx, cancel := context.WithTimeout(ctx, 2*checkTime)
	defer cancel()
	host := n.config.redisHost()
	if err := redisconn.Ping(ctx, n.rdb); err != nil {
		k.redisFails(host, err)
		return
	}
	servers := serversOf(ctx, n.rdb)
	for _, s := range servers {
		where := host
		if len(servers) > 1 {
			where = s.addr
		}
		if s.err != nil {
			k.redisFails(where, s.err)
			continue
		}
		k.checkServer(s, where)
	}
	k.checkCoverage(ctx, n)
	k.checkScripts(ctx, n)
	// A message that names no queue and no lane makes workers look, which they do anyhow.
	if err := n.rdb.Publish(ctx, tasks.WakeChannel, "").Err(); redisconn.AnswerOf(err) == redisconn.Refusal {
		k.warn("redis wake", "", "this user may not PUBLISH on "+tasks.WakeChannel+", so the job of an idle account starts up to a second later",
			"give it PUBLISH, SUBSCRIBE and the channel (&"+tasks.WakeChannel+")")
	}
	k.checkFormat(ctx, n)
	k.checkDataKey(ctx, n)
}

// redisFails says why a server is of no use now, and what to do.
func (k *checkup) redisFails(where string, err error) {
	k.redisFailsAt("redis", "", where, err)
}

func (k *checkup) redisFailsAt(check, account, where string, err error) {
	k.fail(redisExit(err), check, account, where+" "+redisconn.Told(err), redisconn.Advice(err))
}

// server is what one Redis server says of itself. What it does not say is "".
type server struct {
	addr, product, version, mode, role     string
	appendonly, appendfsync, policy, limit string
	used, replicas, minReplicas            string
	// latency is the middle one of some round trips; err is why there was none.
	latency time.Duration
	err     error
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

// serversOf asks each server that is written to. Hosted ones often forbid CONFIG;
// INFO then says most of it.
func serversOf(ctx context.Context, c redis.UniversalClient) []server {
	one, ok := c.(*redis.ClusterClient)
	if !ok {
		return []server{serverOf(ctx, c, "")}
	}
	var mu sync.Mutex
	var all []server
	_ = one.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		s := serverOf(ctx, master, master.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
		return nil
	})
	slices.SortFunc(all, func(a, b server) int { return strings.Compare(a.addr, b.addr) })
	return all
}

func serverOf(ctx context.Context, c redis.Cmdable, addr string) server {
	latency, err := pings(ctx, c)
	if err != nil {
		return server{addr: addr, err: err}
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
	s := server{
		addr: addr, product: "Redis", version: said["redis_version"], mode: said["redis_mode"], role: said["role"],
		appendonly: orElse(said["appendonly"], aof), appendfsync: said["appendfsync"],
		policy: orElse(said["maxmemory-policy"], said["maxmemory_policy"]), limit: said["maxmemory"],
		used: said["used_memory"], replicas: said["connected_slaves"], minReplicas: said["min-replicas-to-write"], latency: latency,
	}
	if said["valkey_version"] != "" { // which says besides, as redis_version, what it is compatible with
		s.product, s.version, s.mode = "Valkey", said["valkey_version"], orElse(said["server_mode"], s.mode)
	}
	return s
}

func (k *checkup) checkServer(s server, where string) {
	version := "of a version that it does not tell"
	if s.version != "" {
		version = "version " + s.version + " of " + s.product
	}
	if s.mode != "" {
		version += ", " + s.mode
	}
	latency := s.latency.Round(10 * time.Microsecond)
	switch {
	case s.mode == "sentinel":
		k.fail(exitUsage, "redis", "", where+" is a Sentinel, which keeps no jobs", "set CAMSQ_REDIS_URL to redis-sentinel://"+where+"/MASTER")
		return
	case s.product == "Redis" && s.version != "" && older(s.version, oldestRedis):
		k.fail(exitUsage, "redis", "", where+" is "+version, "camsq needs "+oldestRedis+" or newer")
	default:
		k.ok("redis", "", "%s answers in %v, %s", where, latency, version)
	}
	for _, c := range s.custody(where) {
		k.results = append(k.results, checkResult{Check: "redis " + c.what, Level: c.level, Text: c.text, Do: c.do, code: exitUsage})
	}
	k.checkMemory(s, where)
	k.checkReplicas(s, where)
}

// custody is what one thing that a server says of itself means for the jobs that
// it is given to keep.
type custody struct {
	what  string // role, durability or eviction
	level string // as in checkResult
	// setting is the one at fault, as Redis names it; "" if the server does not tell.
	setting  string
	text, do string
}

// custody tells how well the server keeps what is written to it. where names it.
func (s server) custody(where string) []custody {
	return []custody{s.roleCustody(where), s.durability(where), s.eviction(where)}
}

func (s server) roleCustody(where string) custody {
	switch s.role {
	case "master":
		return custody{"role", levelOK, "role master", "master", ""}
	case "":
		return custody{"role", levelWarn, "", where + " does not tell whether it is a master", "make sure that it is one, or nothing can be written"}
	}
	return custody{"role", levelFail, "role " + s.role, where + " is a replica, which cannot be written to", "name the master in CAMSQ_REDIS_URL"}
}

func (s server) durability(where string) custody {
	const (
		what = "durability"
		lost = "a crash of Redis loses jobs, and the marks that keep a call from being made twice"
	)
	setting := "appendfsync " + s.appendfsync
	switch {
	case s.appendonly == "":
		return custody{what, levelWarn, "", where + " does not tell whether it has an append-only file", "without one " + lost}
	case s.appendonly != "yes":
		return custody{what, levelWarn, "appendonly " + s.appendonly, where + " has NO append-only file: " + lost, "set appendonly yes"}
	case s.appendfsync == "no":
		return custody{what, levelWarn, setting, "the append-only file is synced when the system likes: its crash loses what was written for up to half a minute", "set appendfsync everysec, or always"}
	case s.appendfsync == "always":
		return custody{what, levelOK, setting, "append-only file, synced with every write", ""}
	}
	return custody{what, levelOK, setting, "append-only file; the last second or two may be lost if the machine dies (appendfsync always: none)", ""}
}

func (s server) eviction(where string) custody {
	const what = "eviction"
	setting := "maxmemory-policy " + s.policy
	switch {
	case s.policy == "noeviction":
		return custody{what, levelOK, setting, "none (maxmemory-policy noeviction)", ""}
	case s.policy == "":
		return custody{what, levelWarn, "", where + " does not tell its maxmemory-policy", "it must be noeviction, or jobs vanish when memory is short"}
	case s.limit == "0":
		return custody{what, levelWarn, setting, "maxmemory-policy is " + s.policy + ", harmless while maxmemory is 0", "set noeviction before you set a limit"}
	}
	return custody{what, levelWarn, setting, "maxmemory-policy is " + s.policy + ": jobs vanish when memory is short", "set noeviction"}
}

// warnOfRedis has the log of a worker that starts name each setting of Redis that
// can lose what the worker writes. It stops nobody: a replica may be about to
// become the master, and who has weighed the risk is to be able to run.
func (n *node) warnOfRedis(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	for _, s := range serversOf(ctx, n.rdb) {
		if s.err != nil {
			continue // the looks at the lanes say so
		}
		where := orElse(s.addr, n.config.redisHost())
		for _, c := range s.custody(where) {
			level := slog.LevelWarn
			switch {
			case c.level == levelOK && c.setting != "appendfsync everysec":
				continue
			case c.level == levelOK, c.setting == "":
				// What a server does not tell may well be right.
				level = slog.LevelInfo
			}
			log.LogAttrs(ctx, level, "redis "+c.what, slog.String("server", where), slog.String("setting", orElse(c.setting, "unknown")),
				slog.String("means", c.text), slog.String("do", orElse(c.do, "see docs/operations.md")))
		}
	}
}

// older compares MAJOR.MINOR. What it cannot read is not older.
func older(version, than string) bool {
	part := func(v string, i int) int {
		parts := strings.Split(v, ".")
		if i >= len(parts) {
			return 0
		}
		n, _ := strconv.Atoi(parts[i])
		return n
	}
	if part(version, 0) != part(than, 0) {
		return part(version, 0) < part(than, 0)
	}
	return part(version, 1) < part(than, 1)
}

// checkFormat makes sure that the records are for this process.
func (k *checkup) checkFormat(ctx context.Context, n *node) {
	if e, ok := errors.AsType[*exitError](n.checkFormat(ctx)); ok {
		k.fail(e.code, "records", "", e.Error(), "")
	}
}

// checkDataKey makes sure that this process can read what others have sealed.
func (k *checkup) checkDataKey(ctx context.Context, n *node) {
	err := n.checkKeys(ctx)
	switch e, ok := err.(*exitError); {
	case err == nil && n.config.DataKeys == "":
		path, _ := dataKeyFile()
		k.ok("data key", "", "from %s; set CAMSQ_DATA_KEY to its content where other machines take part", path)
	case err == nil:
		k.ok("data key", "", "from CAMSQ_DATA_KEY, shared with the others")
	case ok:
		k.fail(e.code, "data key", "", e.Error(), "")
	default:
		k.fail(exitUnreachable, "data key", "", err.Error(), "")
	}
}
