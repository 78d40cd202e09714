package check

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/tasks"
)

// oldestRedis is the first that has ZRANGE by score, which the ledger uses.
const oldestRedis = "6.2"

// checkRedis checks whether Redis answers and keeps its writes.
func (k *checker) checkRedis(ctx context.Context, a *app.App) {
	ctx, cancel := context.WithTimeout(ctx, 2*redisconn.CheckTime)
	defer cancel()
	host := a.Config.RedisHost()
	if err := redisconn.Ping(ctx, a.Redis); err != nil {
		k.redisFails(host, err)
		return
	}
	servers := redisconn.Servers(ctx, a.Redis)
	for _, s := range servers {
		where := host
		if len(servers) > 1 {
			where = s.Addr
		}
		if s.Err != nil {
			k.redisFails(where, s.Err)
			continue
		}
		k.checkServer(s, where)
	}
	k.checkCoverage(ctx, a)
	k.checkScripts(ctx, a)
	// A message that names no queue and no lane makes workers look, which they do anyhow.
	if err := a.Redis.Publish(ctx, tasks.WakeChannel, "").Err(); redisconn.AnswerOf(err) == redisconn.Refusal {
		k.warn("redis wake", "", "this user may not PUBLISH on "+tasks.WakeChannel+", so the job of an idle account starts up to a second later",
			"give it PUBLISH, SUBSCRIBE and the channel (&"+tasks.WakeChannel+")")
	}
	k.checkFormat(ctx, a)
	k.checkDataKey(ctx, a)
}

// redisFails says why a server is of no use now, and what to do.
func (k *checker) redisFails(where string, err error) {
	k.redisFailsAt("redis", "", where, err)
}

func (k *checker) redisFailsAt(check, account, where string, err error) {
	k.fail(inspect.ExitCode(err), check, account, where+" "+redisconn.Told(err), redisconn.Advice(err))
}

func (k *checker) checkServer(s redisconn.Server, where string) {
	version := "of a version that it does not report"
	if s.Version != "" {
		version = "version " + s.Version + " of " + s.Product
	}
	if s.Mode != "" {
		version += ", " + s.Mode
	}
	latency := s.Latency.Round(10 * time.Microsecond)
	switch {
	case s.Mode == "sentinel":
		k.fail(exit.CodeUsage, "redis", "", where+" is a Sentinel, which keeps no jobs", "set CAMSQ_REDIS_URL to redis-sentinel://"+where+"/MASTER")
		return
	case s.Product == "Redis" && s.Version != "" && older(s.Version, oldestRedis):
		k.fail(exit.CodeUsage, "redis", "", where+" is "+version, "camsq needs "+oldestRedis+" or newer")
	default:
		k.ok("redis", "", "%s answers in %v, %s", where, latency, version)
	}
	for _, c := range s.Findings(where) {
		k.results = append(k.results, Result{Check: "redis " + c.What, Level: c.Level, Text: c.Text, Do: c.Hint, code: exit.CodeUsage})
	}
	k.checkMemory(s, where)
	k.checkReplicas(s, where)
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
func (k *checker) checkFormat(ctx context.Context, a *app.App) {
	if e, ok := errors.AsType[*exit.Error](a.CheckFormat(ctx)); ok {
		k.fail(e.Code, "records", "", e.Error(), "")
	}
}

// checkDataKey makes sure that this process can read what others have sealed.
func (k *checker) checkDataKey(ctx context.Context, a *app.App) {
	err := a.CheckKeys(ctx)
	switch e, ok := err.(*exit.Error); {
	case err == nil && a.Config.DataKeys == "":
		path, _ := config.DataKeyFile()
		k.ok("data key", "", "from %s; set CAMSQ_DATA_KEY to its content where other machines take part", path)
	case err == nil:
		k.ok("data key", "", "from CAMSQ_DATA_KEY, shared with the others")
	case ok:
		k.fail(e.Code, "data key", "", e.Error(), "")
	default:
		k.fail(exit.CodeUnreachable, "data key", "", err.Error(), "")
	}
}
