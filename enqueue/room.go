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

// DefaultRoom is the share of maxmemory up to which [Client.CreateAll] fills Redis. At
// maxmemory asynq could neither enqueue nor dequeue, and nothing would ever get less.
const DefaultRoom = 0.6

// roomPause is the time between two looks at Redis's memory.
const roomPause = time.Second

// awaitRoom returns when the next attempt may find room.
func (c *Client) awaitRoom(ctx context.Context, full *queue.OutOfMemoryError) error {
	used, most := full.Used, full.Max
	if most == 0 {
		used, most, _ = c.queue.Memory(ctx, full.Account)
	}
	for {
		if c.waiting != nil {
			c.waiting(used, most)
		}
		if err := pause(ctx, roomPause); err != nil {
			return err
		}
		var err error
		if used, most, err = c.queue.Memory(ctx, full.Account); err != nil || float64(used) <= c.room*float64(most) {
			return nil // the attempt will tell what is wrong, if anything is
		}
	}
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
