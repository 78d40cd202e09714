package app

import (
	"context"
	"log/slog"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/redisconn"
)

// WarnOfRedis has the log of a worker that starts name each setting of Redis that
// can lose what the worker writes. It does not stop the worker: a replica may be about to
// become the master, and who has weighed the risk is to be able to run.
func (a *App) WarnOfRedis(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, redisconn.CheckTime)
	defer cancel()
	for _, s := range redisconn.Servers(ctx, a.Redis) {
		if s.Err != nil {
			continue // the looks at the lanes say so
		}
		where := humanize.Or(s.Addr, a.Config.RedisHost())
		for _, c := range s.Findings(where) {
			level := slog.LevelWarn
			switch {
			case c.Level == redisconn.LevelOK && c.Setting != "appendfsync everysec":
				continue
			case c.Level == redisconn.LevelOK, c.Setting == "":
				// What a server does not report may well be right.
				level = slog.LevelInfo
			}
			log.LogAttrs(ctx, level, "redis "+c.What, slog.String("server", where), slog.String("setting", humanize.Or(c.Setting, "unknown")),
				slog.String("means", c.Text), slog.String("do", humanize.Or(c.Hint, "see docs/operations.md")))
		}
	}
}
