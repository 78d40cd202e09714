package enqueue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redisconn"
)

// DefaultRoom is the share of maxmemory up to which [Client.CreateAll] fills Redis. At
// maxmemory asynq could neither enqueue nor dequeue, and nothing would ever get less.
const DefaultRoom = 0.6

// roomPause is the time between two looks at Redis's memory.
const roomPause = time.Second

// fullError means that Redis has no room for new jobs. Nothing was written.
type fullError struct {
	account   string
	used, max int64 // bytes; 0 if they are not known
	err       error // is Redis's own, or nil
}

func (e *fullError) Unwrap() error { return e.err }

func (e *fullError) Error() string {
	if e.err != nil {
		return e.err.Error()
	}
	return fmt.Sprintf("enqueue: Redis uses %d bytes of its %d", e.used, e.max)
}

// awaitRoom returns when the next attempt may find room.
func (c *Client) awaitRoom(ctx context.Context, full *fullError) error {
	used, most := full.used, full.max
	if most == 0 {
		used, most, _ = c.memory(ctx, full.account)
	}
	for {
		if c.waiting != nil {
			c.waiting(used, most)
		}
		if err := pause(ctx, roomPause); err != nil {
			return err
		}
		var err error
		if used, most, err = c.memory(ctx, full.account); err != nil || float64(used) <= c.room*float64(most) {
			return nil // the attempt will tell what is wrong, if anything is
		}
	}
}

// Memory returns used_memory and maxmemory of the Redis that has the account; 0 and 0
// if it has no limit, or does not tell.
func (c *Client) Memory(ctx context.Context, account string) (used, most int64, err error) {
	return c.memory(ctx, account)
}

// memory returns used_memory and maxmemory of the account's Redis; 0 and 0 if it has
// no limit, or does not tell.
func (c *Client) memory(ctx context.Context, account string) (used, most int64, err error) {
	at := ledger.BookKeys(account)[:1] // is not read; on a cluster it says which node is asked
	got, err := c.scripts.room.Run(ctx, c.rdb, at).Int64Slice()
	if err != nil || len(got) != 2 {
		return 0, 0, err
	}
	return got[0], got[1], nil
}

// orFull makes a [*fullError] of the error by which Redis refuses to write at
// maxmemory. One before version 7 says so within the error of the script.
func orFull(account string, err error) error {
	if redis.IsOOMError(err) || strings.Contains(err.Error(), "OOM command not allowed") {
		return &fullError{account: account, err: err}
	}
	return err
}

// passing says whether an error may be gone after a while without anybody's doing:
// no answer came, or one that passes.
func passing(err error) bool {
	if errors.Is(err, redis.ErrClosed) {
		return false
	}
	switch redisconn.AnswerOf(err) {
	case redisconn.Silence:
		return fromRedis(err)
	case redisconn.Passing:
		return true
	case redisconn.Fine, redisconn.Refusal, redisconn.Strange:
	}
	return false
}

// fromRedis says whether an error without a reply is one of the connection, and not
// of this program.
func fromRedis(err error) bool {
	_, wire := errors.AsType[net.Error](err)
	return wire || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, redis.ErrPoolTimeout)
}
