package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/ledger"
)

// OpenForDryRun returns an App whose Redis can be asked what is there already, or why there
// is none: a dry run needs neither Redis nor a data key, and makes none. What would be
// wrong without the dry run too is an error.
func OpenForDryRun(ctx context.Context, c config.Config) (a *App, without string, err error) {
	if c.DataKeys == "" {
		path, err := config.DataKeyFile()
		if err != nil {
			return nil, "", exit.Usagef("%w", err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, "there is no data key yet", nil
		}
	}
	if a, err = Open(c); err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dryNodeTime)
	defer cancel()
	a.Use = ledger.Producing
	if err = a.ping(ctx); err == nil {
		return a, "", nil
	}
	a.Close()
	if e, ok := errors.AsType[*exit.Error](err); ok && e.Code == exit.CodeUnreachable {
		return nil, err.Error(), nil
	}
	return nil, "", err
}

// dryNodeTime is how long a dry run waits for a Redis that may not be there.
const dryNodeTime = 3 * time.Second
