package redisconn

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Listen calls heard with each message of a channel until ctx ends, and with ""
// whenever it has begun to listen, which is also when messages may have been
// missed. It reconnects by itself.
func Listen(ctx context.Context, c redis.UniversalClient, channel string, onMessage func(message string)) {
	s := c.Subscribe(ctx, channel)
	defer s.Close()
	messages := s.ChannelWithSubscriptions(redis.WithChannelSize(1000))
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				onMessage("")
			case *redis.Message:
				onMessage(m.Payload)
			}
		}
	}
}
