package app

import (
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/internal/queue"
)

// Use says what a command does with the records: an App whose version of camsq is too old
// or too new for that does not become ready.
type Use = ledger.Use

// The uses of commands.
const (
	Reading   = ledger.Reading
	Producing = ledger.Producing
	Operating = ledger.Operating
)

var (
	_ operate.Store     = (*ledger.Ledger)(nil)
	_ operate.LaneStore = (*ledger.Ledger)(nil)
	_ operate.Queue     = (*queue.Client)(nil)
)
