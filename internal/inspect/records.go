package inspect

import (
	"context"

	"github.com/camsq/camsq/internal/ledger"
)

// RecordReader is what is read of jobs; the ledger has it.
type RecordReader interface {
	GetMany(ctx context.Context, account string, ids []string) ([]ledger.Lookup, error)
}
