package enqueue

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/redisconn"
)

// DefaultHighWatermark is the share of maxmemory up to which [Client.CreateAll] fills
// Redis. At maxmemory asynq could neither enqueue nor dequeue, so no job would end and
// free memory.
const DefaultHighWatermark = 0.6

// memoryPause is the time between two readings of Redis's memory.
const memoryPause = time.Second

// waitForMemory blocks until Redis has memory for new jobs again.
func (c *Client) waitForMemory(ctx context.Context, full *queue.OutOfMemoryError) error {
	used, most := full.Used, full.Max
	if most == 0 {
		used, most, _ = c.queue.Memory(ctx, full.Account)
	}
	for {
		if c.onBackpressure != nil {
			c.onBackpressure(used, most)
		}
		if err := sleep(ctx, memoryPause); err != nil {
			return err
		}
		var err error
		if used, most, err = c.queue.Memory(ctx, full.Account); err != nil || float64(used) <= c.highWatermark*float64(most) {
			return nil // the next attempt reports the error, if there still is one
		}
	}
}

// isTransient reports whether an error may be gone after a while: Redis did not answer,
// or is not ready.
func isTransient(err error) bool {
	if errors.Is(err, redis.ErrClosed) {
		return false
	}
	switch redisconn.AnswerOf(err) {
	case redisconn.Silence:
		return ofConnection(err)
	case redisconn.NotReady:
		return true
	case redisconn.Fine, redisconn.Refusal, redisconn.Strange:
	}
	return false
}

// ofConnection reports whether an error without a reply comes from the connection, and
// not from this program.
func ofConnection(err error) bool {
	_, wire := errors.AsType[net.Error](err)
	return wire || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, redis.ErrPoolTimeout)
}
