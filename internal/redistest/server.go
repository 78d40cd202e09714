// Package redistest gives tests a Redis: a throw-away redis-server that can be
// killed, restarted and frozen, or miniredis, which also runs in virtual time.
// It is for tests alone and never touches a Redis that it did not start.
package redistest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/process"
)

// Server is a redis-server process of one test, on a free loopback port, with
// its own empty directory. It is stopped when the test ends.
type Server struct {
	t     testing.TB
	redis *process.Redis
}

// Start starts a redis-server and waits until it answers. It keeps nothing on
// disk unless args, which come after the defaults, say otherwise: for
// instance "--appendonly", "yes". Without redis-server on the PATH the test is
// skipped, or fails when the environment has CI=true.
//
// It uses real sockets, so it is of no use within a testing/synctest bubble.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, nil, args)
}

// start puts first before the defaults and args after them.
func start(t testing.TB, first, args []string) *Server {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redistest: redis-server is not on the PATH, and CI=true forbids to skip")
		}
		t.Skip("redistest: redis-server is not on the PATH")
	}
	r, err := process.StartRedis(process.RedisConfig{Bin: bin, Dir: t.TempDir(), First: first, Args: args})
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	t.Cleanup(r.Kill)
	return &Server{t: t, redis: r}
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.redis.Addr() }

// URL returns the redis:// URL of database 0.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Client returns a client that is closed when the test ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the process with SIGKILL, so Redis gets no chance to write, and
// returns when it is gone. A server that is not running stays so.
func (s *Server) Kill() { s.redis.Kill() }

// Restart kills the process if it runs and starts it again, with the same
// port, directory and arguments.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.redis.Start(); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}

// Pause freezes the process: connections stay open and nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.redis.Signal(sig); err != nil {
		s.t.Fatalf("redistest: signal %v: %v", sig, err)
	}
}
