package inspect

import (
	"context"

	"github.com/camsq/camsq/tasks"
)

// RecordReader is what is read of jobs; the ledger has it.
type RecordReader interface {
	GetMany(ctx context.Context, account string, ids []string) ([]tasks.Lookup, error)
}
