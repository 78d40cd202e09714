package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/lab/testbed"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/process"
	"github.com/camsq/camsq/internal/seal"
)

// lab is what the measurements share: a camsq that was built for them, a Redis, and
// the processes that run now.
type lab struct {
	dir, camsq, self string
	env              []string // of the children, without anything that camsq would read
	err              io.Writer
	begun            time.Time

	redis *process.Redis
	rdb   *redis.Client
	// watch is the client of the measurements; observed counts its commands.
	watch    *redis.Client
	observed *commandCount

	dataKey string
	client  *enqueue.Client
	ledger  *ledger.Ledger

	running []*running
	started int
}

// running is a process of ours.
type running struct {
	name  string
	log   string
	child *process.Child
}

func newLab(ctx context.Context, env []string, errs io.Writer) (*lab, error) {
	l := &lab{err: errs, begun: time.Now(), observed: &commandCount{}, env: testbed.WithoutSettings(env)}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) open(ctx context.Context) (err error) {
	if l.self, err = os.Executable(); err != nil {
		return err
	}
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not on the PATH; install it")
	}
	if l.dir, err = os.MkdirTemp("", "camsq-bench-"); err != nil {
		return err
	}
	l.camsq = filepath.Join(l.dir, "camsq")
	l.say("building camsq")
	build := exec.CommandContext(ctx, "go", "build", "-o", l.camsq, "github.com/camsq/camsq/cmd/camsq")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building camsq; run bench in its module: %w\n%s", err, text)
	}
	dir := filepath.Join(l.dir, "redis")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if l.redis, err = process.StartRedis(process.RedisConfig{Bin: bin, Dir: dir}); err != nil {
		return err
	}
	l.rdb = redis.NewClient(&redis.Options{Addr: l.redis.Addr()})
	l.watch = redis.NewClient(&redis.Options{Addr: l.redis.Addr()})
	l.watch.AddHook(l.observed)
	l.dataKey = enqueue.NewDataKey()
	return l.clear(ctx)
}

// close ends everything that was started and takes away every file.
func (l *lab) close() error {
	err := l.stop()
	for _, c := range []*redis.Client{l.rdb, l.watch} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	if l.redis != nil {
		l.redis.Kill()
	}
	if l.dir != "" {
		err = errors.Join(err, os.RemoveAll(l.dir))
	}
	return err
}

// say prints a line of progress, with the time since the start.
func (l *lab) say(format string, args ...any) {
	d := int(time.Since(l.begun).Seconds())
	fmt.Fprintf(l.err, "%02d:%02d  %s\n", d/60, d%60, fmt.Sprintf(format, args...))
}

// clear makes Redis as new.
func (l *lab) clear(ctx context.Context) error {
	if err := l.watch.FlushAll(ctx).Err(); err != nil {
		return err
	}
	keys, err := seal.ParseKeys(l.dataKey)
	if err != nil {
		return err
	}
	if l.ledger, err = ledger.New(ledger.Config{Redis: l.watch, Keys: keys}); err != nil {
		return err
	}
	l.client, err = enqueue.New(enqueue.Config{Redis: l.rdb, DataKeys: l.dataKey})
	return err
}

// scene runs one measurement on an empty Redis, and ends what it has started.
func (l *lab) scene(ctx context.Context, measure func() error) error {
	if err := l.clear(ctx); err != nil {
		return err
	}
	return errors.Join(measure(), l.stop())
}

// start starts a process. More than one may have the same name.
func (l *lab) start(name string, cmd *exec.Cmd) (*running, error) {
	l.started++
	r := &running{name: name, log: filepath.Join(l.dir, fmt.Sprintf("%s-%d.log", name, l.started))}
	cmd.Dir = l.dir
	child, err := process.Start(cmd, r.log)
	if err != nil {
		return nil, err
	}
	r.child = child
	l.running = append(l.running, r)
	return r, nil
}

// stopTime is more than a worker takes to stop.
const stopTime = 45 * time.Second

// stop ends the processes, those first that were started last, and together those
// that do the same.
func (l *lab) stop() error {
	var errs []error
	for len(l.running) > 0 {
		last := len(l.running) - 1
		group := []*running{l.running[last]}
		for last--; last >= 0 && l.running[last].name == group[0].name; last-- {
			group = append(group, l.running[last])
		}
		l.running = l.running[:last+1]
		ended := make(chan error)
		for _, r := range group {
			go func() { ended <- r.stop() }()
		}
		for range group {
			errs = append(errs, <-ended)
		}
	}
	return errors.Join(errs...)
}

func (r *running) stop() error {
	if err := r.child.Stop(stopTime); err != nil {
		return fmt.Errorf("%s: %w; the end of its log:\n%s", r.name, err, r.logTail())
	}
	return os.Remove(r.log) // thousands of lines
}

// logTail is the end of the log.
func (r *running) logTail() string {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// check returns an error if a process has ended unexpectedly.
func (l *lab) check() error {
	for _, r := range l.running {
		select {
		case <-r.child.Exited():
			return fmt.Errorf("%s ended unexpectedly; the end of its log:\n%s", r.name, r.logTail())
		default:
		}
	}
	return nil
}

// startTime bounds how long a process may take until it is ready.
const startTime = 30 * time.Second

// await asks until it is so, or a process has ended.
func (l *lab) await(ctx context.Context, what string, so func(ctx context.Context) bool) error {
	limited, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for !so(limited) {
		if err := l.check(); err != nil {
			return err
		}
		if err := pause(limited, 10*time.Millisecond); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// answers says whether a GET is answered with 200.
func answers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// pause sleeps, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// freeAddr is an address of this machine that no process listens on.
func freeAddr() (string, error) {
	port, err := process.FreePort()
	return process.Loopback(port), err
}

func (l *lab) redisVersion(ctx context.Context) (string, error) {
	text, err := l.watch.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(text, "redis_version:")
	version, _, _ := strings.Cut(rest, "\r\n")
	return version, nil
}

// redisUsage is what Redis has done for other clients than watch.
func (l *lab) redisUsage(ctx context.Context) (redisUsage, error) {
	text, err := l.watch.Info(ctx, "cpu", "commandstats").Result()
	if err != nil {
		return redisUsage{}, err
	}
	u, err := parseInfo(text)
	u.commands -= l.observed.sent()
	return u, err
}

// commandCount counts the answered commands of a client.
type commandCount struct{ n atomic.Int64 }

func (k *commandCount) sent() int { return int(k.n.Load()) }

// DialHook leaves dialling as it is.
func (k *commandCount) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook counts a command.
func (k *commandCount) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		defer k.n.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook counts each command of a pipeline.
func (k *commandCount) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		defer k.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}
