package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// StartSentinel starts a Sentinel that alone decides over primary, which it knows
// as name: after half a second without an answer it makes a replica the primary.
// Its URL is "redis-sentinel://" + Addr() + "/" + name.
func StartSentinel(t testing.TB, name string, primary *Server) *Server {
	t.Helper()
	host, port := "127.0.0.1", primary.redis.Port()
	conf := filepath.Join(t.TempDir(), "sentinel.conf") // Sentinel writes into it
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]d 1\n"+
		"sentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 15000\n", name, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatalf("redistest: sentinel: %v", err)
	}
	return start(t, []string{conf, "--sentinel"}, nil)
}
