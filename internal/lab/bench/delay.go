package main

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/lab/testbed"
)

// startDelay starts a proxy through which each byte arrives so much later.
func startDelay(to string, each time.Duration) (*testbed.Proxy, error) {
	return testbed.StartProxy(testbed.ProxyConfig{
		Dial:  func() (net.Conn, error) { return net.Dial("tcp", to) },
		Delay: each,
	})
}

// roundTrip is how long a PING takes: the median of some.
func roundTrip(ctx context.Context, addr string) (time.Duration, error) {
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	var all []time.Duration
	for range 200 {
		start := time.Now()
		if err := c.Ping(ctx).Err(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
	}
	return median(all), nil
}
