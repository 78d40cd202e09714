package app

import (
	"fmt"
	"log/slog"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/worker"
)

const (
	// filesForCallbacks is how many callbacks are under way at once, each on a
	// connection, and filesBeside what else a process holds open: its listener, logs,
	// subscriptions, scrapes.
	filesForCallbacks = 64
	filesBeside       = 64
	// filesForLane is what asynq holds for a lane: it listens on a connection.
	filesForLane = 1
)

// fitFiles lowers the lanes' concurrency until the connections that they may hold at
// once fit into the process's limit of open files, or returns why they cannot. limit is
// 0 where there is none; redis is how many connections to Redis there may be.
func fitFiles(lanes []worker.Lane, limit uint64, redis int, log *slog.Logger) error {
	if limit == 0 {
		return nil
	}
	wanted := 0
	for _, l := range lanes {
		wanted += l.Concurrency
	}
	fixed := filesForCallbacks + filesBeside + filesForLane*len(lanes) + redis
	available := 0
	if limit > uint64(fixed) {
		available = int(min(limit-uint64(fixed), 1<<30)) //nolint:gosec // bounded
	}
	if wanted <= available {
		return nil
	}
	if available < len(lanes) {
		return exit.Usagef("the limit of open files is %d, and this worker needs %d at least, for %s; raise it (ulimit -n, LimitNOFILE)",
			limit, fixed+len(lanes), humanize.Plural(int64(len(lanes)), "account"))
	}
	for i := range lanes {
		lanes[i].Concurrency = max(lanes[i].Concurrency*available/wanted, 1)
	}
	log.Warn("the limit of open files is too low for CAMSQ_CONCURRENCY; fewer calls are made at once",
		"limit", limit, "wanted", fixed+wanted, "calls_at_once", fmt.Sprintf("%d of %d", available, wanted), "do", "raise it (ulimit -n, LimitNOFILE)")
	return nil
}
