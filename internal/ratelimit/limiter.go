package ratelimit

import (
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Config holds what all buckets of a Limiter share. The zero value is good.
type Config struct {
	// Horizon is how far ahead a slot may be booked. A process that dies
	// wastes at most this much of the quota, and what another process asks for,
	// a pause or a lower rate, comes into force here after at most this time. A
	// booked slot that its process comes to later than this is given up. All
	// processes should agree. Defaults to 200 ms; what goes well is measured less
	// exactly with one over 300 ms.
	Horizon time.Duration

	// Keep is how long Redis keeps a bucket that is not used, in addition to
	// the time in which its burst is earned. Defaults to one hour.
	Keep time.Duration

	// MaxWait is how long a caller is held before it is refused; see
	// [Bucket.Wait]. It is never less than two intervals of the rate in force,
	// or a very slow account would never get a slot. Defaults to five seconds.
	MaxWait time.Duration
}

// Limiter hands out the buckets of one process. It is safe for concurrent use.
type Limiter struct {
	redis                  redis.Scripter
	horizon, keep, maxWait time.Duration

	mu      sync.Mutex
	buckets map[string]*Bucket
}

// New returns a limiter whose buckets live in client. It panics if a duration
// in the Config is negative.
func New(client redis.Scripter, c Config) *Limiter {
	return &Limiter{
		redis:   client,
		horizon: orDefault(c.Horizon, 200*time.Millisecond),
		keep:    orDefault(c.Keep, time.Hour),
		maxWait: orDefault(c.MaxWait, 5*time.Second),
		buckets: make(map[string]*Bucket),
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d < 0 {
		panic("ratelimit: New: negative duration in Config")
	}
	if d == 0 {
		return otherwise
	}
	return d
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
