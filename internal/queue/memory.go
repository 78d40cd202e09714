package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
)

// OutOfMemoryError means that Redis has no memory for new jobs. Nothing was written.
type OutOfMemoryError struct {
	Account   string
	Used, Max int64 // bytes; 0 if they are unknown
	Err       error // Redis's own, or nil
}

// Unwrap returns Err.
func (e *OutOfMemoryError) Unwrap() error { return e.Err }

func (e *OutOfMemoryError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("queue: Redis uses %d bytes of its %d", e.Used, e.Max)
}

// orOutOfMemory makes an [*OutOfMemoryError] of the error by which Redis refuses to
// write at maxmemory. Redis before version 7 has it within the script's error.
func orOutOfMemory(account string, err error) error {
	if redis.IsOOMError(err) || strings.Contains(err.Error(), "OOM command not allowed") {
		return &OutOfMemoryError{Account: account, Err: err}
	}
	return err
}

// Memory returns used_memory and maxmemory, in bytes, of the Redis that holds the
// account; 0 and 0 if it has no limit, or does not let this user ask (INFO).
func (c *Client) Memory(ctx context.Context, account string) (used, most int64, err error) {
	at := ledger.IndexKeys(account)[:1] // is not read; in a cluster it names the node
	got, err := c.memory.Run(ctx, c.rdb, at).Int64Slice()
	if err != nil || len(got) != 2 {
		return 0, 0, err
	}
	return got[0], got[1], nil
}
