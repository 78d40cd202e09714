package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisStartTime bounds how long a redis-server may take until it answers PING.
const redisStartTime = 15 * time.Second

// Redis is a redis-server on a free loopback port, with a directory of its own. Its
// methods may be used by several goroutines at once.
type Redis struct {
	config RedisConfig
	port   int

	mu    sync.Mutex
	child *Child // nil if it does not run
}

// RedisConfig says how a redis-server is started. Bin and Dir are required.
type RedisConfig struct {
	// Bin is the path of the redis-server program.
	Bin string
	// Dir is an empty directory for the server's files.
	Dir string
	// Log is the file that the output goes to. Defaults to redis.log in Dir.
	Log string
	// First comes before the default arguments, Args after them. The defaults keep
	// nothing on disk.
	First, Args []string
}

// StartRedis starts a redis-server and returns when it answers.
func StartRedis(c RedisConfig) (*Redis, error) {
	if c.Log == "" {
		c.Log = filepath.Join(c.Dir, "redis.log")
	}
	r := &Redis{config: c}
	// Another process may take the free port before redis-server does.
	for try := 1; ; try++ {
		var err error
		if r.port, err = FreePort(); err != nil {
			return nil, err
		}
		if err = r.Start(); err == nil {
			return r, nil
		}
		if try == 3 {
			return nil, err
		}
	}
}

// Port is the port, also while it does not run.
func (r *Redis) Port() int { return r.port }

// Addr is host:port.
func (r *Redis) Addr() string { return Loopback(r.port) }

// Start starts the server again after a Kill, with the same port, directory and
// arguments.
func (r *Redis) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child != nil {
		return errors.New("redis-server runs already")
	}
	c := r.config
	before, _ := os.ReadFile(c.Log) // of earlier starts; it may not be there
	child, err := Start(exec.Command(c.Bin, slices.Concat(c.First, []string{
		"--port", strconv.Itoa(r.port),
		"--bind", "127.0.0.1",
		"--dir", c.Dir,
		"--save", "",
		"--appendonly", "no",
	}, c.Args)...), c.Log)
	if err != nil {
		return err
	}
	if err := r.awaitPong(child); err != nil {
		child.Kill()
		text, _ := os.ReadFile(c.Log)
		return fmt.Errorf("starting %s on port %d: %w\n%s", c.Bin, r.port, err, bytes.TrimPrefix(text, before))
	}
	r.child = child
	return nil
}

// Kill ends the process with SIGKILL, so Redis gets no chance to write, and returns
// when it is gone. A server that is not running stays so.
func (r *Redis) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return
	}
	r.child.Kill()
	r.child = nil
}

// Signal sends the process a signal.
func (r *Redis) Signal(s os.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return errors.New("redis-server does not run")
	}
	return r.child.Signal(s)
}

// awaitPong asks until this very process answers. Another server that took the
// port first would answer too, so the answer has to come from the pid we started.
func (r *Redis) awaitPong(child *Child) error {
	c := redis.NewClient(&redis.Options{Addr: r.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), redisStartTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ours := fmt.Sprintf("process_id:%d\r\n", child.Pid())
	for {
		if r.listens() {
			// PING, unlike INFO, is refused while an append-only file loads.
			err := c.Ping(ctx).Err()
			if redis.IsAuthError(err) {
				return nil // args set a password that only the caller knows
			}
			if err == nil && strings.Contains(c.Info(ctx, "server").Val(), ours) {
				return nil
			}
		}
		select {
		case <-child.Exited():
			return errors.New("the process ended")
		case <-ctx.Done():
			return fmt.Errorf("no answer to PING within %v", redisStartTime)
		case <-tick.C:
		}
	}
}

// listens saves go-redis from logging each refused connection.
func (r *Redis) listens() bool {
	conn, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
