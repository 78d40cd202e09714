package inspect

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
)

// Model reads where accounts, jobs and batches stand.
type Model struct {
	Config  config.Config
	Redis   redis.UniversalClient
	Ledger  *ledger.Ledger
	Client  *enqueue.Client
	Queue   *queue.Client
	skipped skippedAccounts
}

// noWorker reports that no worker is running. It reports false if it cannot ask.
func (m *Model) noWorker(ctx context.Context) bool {
	running, err := asynqx.ServerRunning(ctx, m.Redis)
	return err == nil && !running
}

// Available says whether Redis is there: one account at least can be asked. Readiness and
// camsq_redis_up both mean this.
func (m *Model) Available(ctx context.Context) error {
	_, errs := m.Ledger.Lanes(ctx, m.Config.Names())
	if errs == nil || slices.Contains(errs, nil) {
		return nil
	}
	return errs[0]
}

// AccountNames are those that are configured, and those besides that have jobs in
// this Redis: their jobs wait, and the operator must learn that.
func (m *Model) AccountNames(ctx context.Context) ([]string, error) {
	names := m.Config.Names()
	known, err := m.Queue.Accounts(ctx)
	if m.PartlyDown(ctx, err) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range known {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
