package redistest

import (
	"context"
	"net"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Mini returns a miniredis and a client of it; both are closed when the test
// ends. They talk over net.Pipe and keys expire by time.Now, so both work in a
// testing/synctest bubble, where TIME and every TTL follow the bubble's clock.
// More clients come from [MiniClient].
//
// miniredis knows neither maxmemory nor an append-only file, and its Close and
// Restart keep every key: such tests need [Start].
func Mini(t testing.TB) (*miniredis.Miniredis, *redis.Client) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	t.Cleanup(m.Close)
	return m, MiniClient(t, m)
}

// MiniClient returns one more client of m, closed when the test ends: another
// process, as far as Redis can see.
func MiniClient(t testing.TB, m *miniredis.Miniredis) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr:   "miniredis",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
		// Else NewClient looks the name up on the real network, which ends a
		// bubble, and every connection asks for notices that miniredis does not know.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Each runs body twice, as subtests on an empty database each: "miniredis",
// then "redis", which is a real redis-server and may be skipped as [Start]
// says.
func Each(t *testing.T, body func(t *testing.T, c redis.UniversalClient)) {
	t.Run("miniredis", func(t *testing.T) {
		_, c := Mini(t)
		body(t, c)
	})
	t.Run("redis", func(t *testing.T) {
		body(t, Start(t).Client())
	})
}
