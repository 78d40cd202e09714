// Package redistest gives tests a Redis: a throw-away redis-server that can be
// killed, restarted and frozen, or miniredis, which also runs in virtual time.
// It is for tests alone and never touches a Redis that it did not start.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startTimeout bounds how long a redis-server may take until it answers PING.
const startTimeout = 15 * time.Second

// Server is a redis-server process of one test, on a free loopback port, with
// its own empty directory. It is stopped when the test ends.
type Server struct {
	t     testing.TB
	bin   string
	dir   string
	port  int
	first []string
	args  []string

	mu     sync.Mutex
	proc   *os.Process
	exited chan struct{}
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
	s := &Server{t: t, bin: bin, dir: t.TempDir(), first: first, args: args}
	t.Cleanup(s.Kill)

	// Another process may take the free port before redis-server does.
	for try := 1; ; try++ {
		s.port = freePort(t)
		err := s.start()
		if err == nil {
			return s
		}
		if try == 3 {
			t.Fatal(err)
		}
	}
}

// Addr returns host:port.
func (s *Server) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// URL returns the redis:// URL of database 0.
func (s *Server) URL() string {
	return "redis://" + s.Addr() + "/0"
}

// Client returns a client that is closed when the test ends.
func (s *Server) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Kill ends the process with SIGKILL, so Redis gets no chance to write, and
// returns when it is gone. A server that is not running stays so.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	_ = s.proc.Signal(syscall.SIGKILL)
	<-s.exited
	s.proc = nil
}

// Restart kills the process if it runs and starts it again, with the same
// port, directory and arguments.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Pause freezes the process: connections stay open and nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		s.t.Fatalf("redistest: signal %v: the server is not running", sig)
	}
	if err := s.proc.Signal(sig); err != nil {
		s.t.Fatalf("redistest: signal %v: %v", sig, err)
	}
}

func (s *Server) start() error {
	args := slices.Concat(s.first, []string{
		"--port", strconv.Itoa(s.port),
		"--bind", "127.0.0.1",
		"--dir", s.dir,
		"--save", "",
		"--appendonly", "no",
	}, s.args)
	cmd := exec.Command(s.bin, args...)
	log, err := os.CreateTemp(s.dir, "log-*")
	if err != nil {
		return fmt.Errorf("redistest: start: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()

	started, exited := make(chan error), make(chan struct{})
	go func() {
		// Linux sends the parent-death signal when the thread that started
		// the child ends, so that thread must stay for as long as the child.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(exited)
		runtime.UnlockOSThread()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("redistest: start %s: %w", s.bin, err)
	}
	s.mu.Lock()
	s.proc, s.exited = cmd.Process, exited
	s.mu.Unlock()

	if err := s.awaitPong(exited); err != nil {
		s.Kill()
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("redistest: start %s on port %d: %w\n%s", s.bin, s.port, err, text)
	}
	return nil
}

// awaitPong asks until this very process answers. A stranger that took the port
// first would answer too, so the answer has to come from the pid we started.
func (s *Server) awaitPong(exited <-chan struct{}) error {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ours := fmt.Sprintf("process_id:%d\r\n", s.proc.Pid)
	for {
		if s.listens() {
			// PING, unlike INFO, is refused while an append-only file loads.
			err := c.Ping(ctx).Err()
			if redis.IsAuthError(err) {
				return nil // args set a password that only the test knows
			}
			if err == nil && strings.Contains(c.Info(ctx, "server").Val(), ours) {
				return nil
			}
		}
		select {
		case <-exited:
			return errors.New("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("no answer to PING within %v", startTimeout)
		case <-tick.C:
		}
	}
}

// listens saves go-redis from logging each refused connection.
func (s *Server) listens() bool {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// freePort finds a port below those that the system gives to outgoing
// connections: while a server is killed, a client that dials must not be given it.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("redistest: no port is free")
	return 0
}
