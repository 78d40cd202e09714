package main

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// delay is a way to Redis that takes a while: each byte comes so much later at the
// other end, whichever way it goes, and any number may be under way.
type delay struct {
	listener net.Listener
	to       string
	each     time.Duration
	running  sync.WaitGroup
}

func startDelay(to string, each time.Duration) (*delay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &delay{listener: l, to: to, each: each}
	d.running.Go(d.accept)
	return d, nil
}

func (d *delay) addr() string { return d.listener.Addr().String() }

// close returns when all connections have ended, so their clients must have left.
func (d *delay) close() {
	_ = d.listener.Close()
	d.running.Wait()
}

func (d *delay) accept() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.running.Go(func() {
			defer client.Close()
			server, err := net.Dial("tcp", d.to)
			if err != nil {
				return
			}
			defer server.Close()
			var both sync.WaitGroup
			both.Go(func() { d.carry(client, server) })
			both.Go(func() { d.carry(server, client) })
			both.Wait()
		})
	}
}

// parcel is what was read at once, and when it is due at the other end.
type parcel struct {
	data []byte
	due  time.Time
}

// carry moves bytes one way until either end is closed, and then closes the other.
func (d *delay) carry(from, to net.Conn) {
	// So many parcels hold more than any socket's buffer: no reader waits for them.
	under := make(chan parcel, 4096)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer from.Close()
		defer to.Close()
		for p := range under {
			sleepUntil(p.due)
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		for range under { // until the reader has seen that it is over
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			under <- parcel{slices.Clone(buf[:n]), time.Now().Add(d.each)}
		}
		if err != nil {
			break
		}
	}
	close(under)
	writing.Wait()
}

// roundTrip is how long a PING takes: the median of some.
func roundTrip(ctx context.Context, addr string) (time.Duration, error) {
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	var all []time.Duration
	for range 200 {
		begin := time.Now()
		if err := c.Ping(ctx).Err(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(begin))
	}
	return median(all), nil
}
