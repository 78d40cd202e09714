package ratelimit

import (
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config holds what all buckets of a Limiter share. The zero value is good.
type Config struct {
	// Horizon is how far ahead a slot may be booked. A process that dies
	// wastes at most this much of the quota, and a pause that another process
	// asks for comes into force here after at most this time. A booked slot
	// that its process comes to later than this is given up. All processes
	// should agree. Defaults to 200 ms.
	Horizon time.Duration

	// Keep is how long Redis keeps a bucket that nobody uses, in addition to
	// the time in which its burst is earned. Defaults to one hour.
	Keep time.Duration
}

// Limiter hands out the buckets of one process. It is safe for concurrent use.
type Limiter struct {
	redis   redis.Scripter
	horizon time.Duration
	keep    time.Duration

	mu      sync.Mutex
	buckets map[string]*Bucket
}

// New returns a limiter whose buckets live in client. It panics if a duration
// in the Config is negative.
func New(client redis.Scripter, c Config) *Limiter {
	if c.Horizon < 0 || c.Keep < 0 {
		panic("ratelimit: New: negative duration in Config")
	}
	l := &Limiter{redis: client, horizon: c.Horizon, keep: c.Keep, buckets: make(map[string]*Bucket)}
	if l.horizon == 0 {
		l.horizon = 200 * time.Millisecond
	}
	if l.keep == 0 {
		l.keep = time.Hour
	}
	return l
}

// Bucket returns the bucket at key, the same one each time. A limit that
// differs from the last one holds for every slot that is booked from now on.
// It panics if the limit is not valid: see [Limit.Validate].
func (l *Limiter) Bucket(key string, limit Limit) *Bucket {
	if err := limit.Validate(); err != nil {
		panic(err)
	}
	l.mu.Lock()
	b := l.buckets[key]
	if b == nil {
		b = &Bucket{limiter: l, key: key, limit: limit}
		l.buckets[key] = b
	}
	l.mu.Unlock()

	b.setLimit(limit)
	return b
}
