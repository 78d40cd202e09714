package prove

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/lab/testbed"
	processes "github.com/camsq/camsq/internal/process"
)

// workerPool is the worker processes and the faults that are applied to them.
type workerPool struct {
	poolConfig
	procs []*proc

	mu      sync.Mutex
	freed   chan struct{} // closed, and made anew, when a worker is left alone again
	done    map[mishapKind]int
	pids    []int
	crashes []string
	killed  time.Time  // the last kill of a worker or of Redis
	refuse  sync.Mutex // one refusal of the account at a time
	restart sync.Mutex // one restart of Redis at a time
}

// proc is one worker, through all its processes.
type proc struct {
	number       int
	redis, cloud *testbed.Proxy
	cloudLink    sync.Mutex // one mishap at a time

	// Of the crew's lock.
	busy    bool // cannot work, or only soon again
	wanted  bool // its process is to run
	process *processes.Child
}

// poolConfig says what a worker pool consists of.
type poolConfig struct {
	workers int
	logs    string // the folder of their logs
	redis   *trialRedis
	cloud   *camstest.Server
	// command makes the process of a worker that finds Redis and CAMS at these addresses.
	command func(redis, cloud string) *exec.Cmd
	say     func(format string, args ...any)
}

// startPool starts the workers, each with a proxy of its own to Redis and to CAMS.
func startPool(c poolConfig) (*workerPool, error) {
	api, err := url.Parse(c.cloud.URL())
	if err != nil {
		return nil, err
	}
	dialCloud := func() (net.Conn, error) { return net.DialTimeout("tcp", api.Host, 5*time.Second) }
	p := &workerPool{poolConfig: c, freed: make(chan struct{}), done: map[mishapKind]int{}}
	for i := range c.workers {
		w := &proc{number: i + 1}
		p.procs = append(p.procs, w)
		if w.redis, err = testbed.StartProxy(testbed.ProxyConfig{Dial: c.redis.dial}); err == nil {
			w.cloud, err = testbed.StartProxy(testbed.ProxyConfig{Dial: dialCloud})
		}
		if err == nil {
			err = p.start(w)
		}
		if err != nil {
			p.close()
			return nil, exit.Unreachablef("prove: %w", err)
		}
	}
	return p, nil
}

// start starts a process for a worker, and sees to it that its end is noticed.
func (c *workerPool) start(h *proc) error {
	child, err := processes.Start(
		c.command(c.redis.through(h.redis.Addr()), "http://"+h.cloud.Addr()),
		filepath.Join(c.logs, fmt.Sprintf("worker-%d.log", h.number)),
	)
	if err != nil {
		return err
	}
	c.mu.Lock()
	h.process, h.wanted = child, true
	c.pids = append(c.pids, child.Pid())
	c.mu.Unlock()
	go func() {
		<-child.Exited()
		c.mu.Lock()
		defer c.mu.Unlock()
		if h.process == child && h.wanted {
			c.crashes = append(c.crashes, fmt.Sprintf("worker %d (pid %d) ended by itself: %s", h.number, child.Pid(), child.Ended()))
		}
	}()
	return nil
}

// apply lets one mishap happen, and returns when it is over.
func (c *workerPool) apply(ctx context.Context, m mishap) {
	switch m.kind {
	case MishapRedis:
		c.restartRedis(ctx, m)
	case mishapCutCloud:
		c.cutCloud(ctx, m)
	case mishapRefused, mishapPages:
		c.refuseAll(ctx, m)
	case mishapAway:
		c.leave(ctx, m)
	case MishapKill:
		c.withOne(ctx, m, c.killAndRestart)
	case mishapFreeze:
		c.withOne(ctx, m, c.freeze)
	case mishapCutRedis:
		c.withOne(ctx, m, c.cutRedis)
	}
}

// withOne lets a mishap happen to a worker that may be kept from working.
func (c *workerPool) withOne(ctx context.Context, m mishap, do func(context.Context, *proc, mishap)) {
	h := c.take(ctx, m.worker)
	if h == nil {
		return
	}
	defer c.release(h)
	c.count(m.kind)
	do(ctx, h, m)
}

func (c *workerPool) freeze(ctx context.Context, h *proc, m mishap) {
	c.say("worker %d is stopped (SIGSTOP) for %v", h.number, m.length.Round(time.Second))
	_ = h.process.Signal(freezeSignal) // it may have ended
	sleep(ctx, m.length)
	_ = h.process.Signal(thawSignal)
}

func (c *workerPool) cutRedis(ctx context.Context, h *proc, m mishap) {
	c.say("worker %d: its wire to Redis is %s for %v", h.number, m.link, m.length.Round(100*time.Millisecond))
	h.redis.Set(m.link, 0)
	sleep(ctx, m.length)
	h.redis.Set(testbed.LinkOpen, 0)
}

func (c *workerPool) killAndRestart(ctx context.Context, h *proc, m mishap) {
	c.say("worker %d is killed (kill -9 %d)", h.number, h.process.Pid())
	c.mu.Lock()
	h.wanted = false
	c.mu.Unlock()
	h.process.Kill()
	c.noteKill()
	sleep(ctx, m.length)
	if err := c.start(h); err != nil {
		c.mu.Lock()
		c.crashes = append(c.crashes, fmt.Sprintf("worker %d: %v", h.number, err))
		c.mu.Unlock()
	}
}

func (c *workerPool) restartRedis(ctx context.Context, m mishap) {
	c.restart.Lock()
	defer c.restart.Unlock()
	c.say("redis-server is killed (kill -9), and starts again after %v", m.length.Round(100*time.Millisecond))
	c.count(m.kind)
	c.redis.server.Kill()
	c.noteKill()
	sleep(ctx, m.length)
	// Also when ctx has ended: the ledger is read afterwards.
	if err := c.redis.server.Start(); err != nil {
		c.mu.Lock()
		c.crashes = append(c.crashes, "redis-server: "+err.Error())
		c.mu.Unlock()
	}
}

func (c *workerPool) cutCloud(ctx context.Context, m mishap) {
	h := c.procs[m.worker]
	h.cloudLink.Lock()
	defer h.cloudLink.Unlock()
	if ctx.Err() != nil {
		return
	}
	c.say("worker %d: its wire to CAMS is %s for %v", h.number, m.link, m.length.Round(100*time.Millisecond))
	c.count(m.kind)
	h.cloud.Set(m.link, m.bytes)
	sleep(ctx, m.length)
	h.cloud.Set(testbed.LinkOpen, 0)
}

// refuseAll lets the cloud answer every call in one way, for a while.
func (c *workerPool) refuseAll(ctx context.Context, m mishap) {
	c.refuse.Lock()
	defer c.refuse.Unlock()
	if ctx.Err() != nil {
		return
	}
	fault := oddRefusals[m.kind][m.bytes%len(oddRefusals[m.kind])]
	said := fault.Code
	if said == "" {
		said = fmt.Sprintf("a page with status %d", fault.Status)
	}
	c.say("CAMS answers every call with %s for %v", said, m.length.Round(100*time.Millisecond))
	c.count(m.kind)
	for _, op := range []string{"CreateInstance", "ListInstance"} {
		c.cloud.Always(op, &fault)
		defer c.cloud.Always(op, nil)
	}
	sleep(ctx, m.length)
}

// leave lets the cloud be away for all workers: connections are refused.
func (c *workerPool) leave(ctx context.Context, m mishap) {
	for _, h := range c.procs {
		h.cloudLink.Lock()
		defer h.cloudLink.Unlock()
	}
	if ctx.Err() != nil {
		return
	}
	c.say("CAMS cannot be reached for %v", m.length)
	c.count(m.kind)
	for _, h := range c.procs {
		h.cloud.Leave()
	}
	sleep(ctx, m.length)
	for _, h := range c.procs {
		if err := h.cloud.Return(); err != nil {
			c.mu.Lock()
			c.crashes = append(c.crashes, err.Error())
			c.mu.Unlock()
		}
	}
	c.say("CAMS is back")
}

// noteKill notes when something was killed last.
func (c *workerPool) noteKill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = time.Now()
}

// take waits for a worker that may be kept from working: the wanted one, or the
// next. Of several one is always left alone. Nil means that ctx has ended.
func (c *workerPool) take(ctx context.Context, wanted int) *proc {
	for {
		c.mu.Lock()
		busy := 0
		for _, h := range c.procs {
			if h.busy {
				busy++
			}
		}
		if busy < max(1, len(c.procs)-1) {
			for i := range c.procs {
				h := c.procs[(wanted+i)%len(c.procs)]
				if !h.busy {
					h.busy = true
					c.mu.Unlock()
					return h
				}
			}
		}
		freed := c.freed
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-freed:
		}
	}
}

func (c *workerPool) release(h *proc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.busy = false
	close(c.freed)
	c.freed = make(chan struct{})
}

func (c *workerPool) count(k mishapKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[k]++
}

// stop ends the workers as an operator does, and those that do not end by force.
func (c *workerPool) stop(within time.Duration) {
	c.mu.Lock()
	for _, h := range c.procs {
		h.wanted = false
	}
	c.mu.Unlock()
	deadline := time.After(within)
	for _, h := range c.procs {
		if h.process != nil {
			_ = h.process.Signal(syscall.SIGTERM) // it may have ended
		}
	}
	for _, h := range c.procs {
		if h.process == nil {
			continue
		}
		select {
		case <-h.process.Exited():
			// One that had just been started may not listen to SIGTERM yet, and dies of it.
			if end := h.process.Ended(); !end.Success() && end.String() != "signal: terminated" {
				c.crashes = append(c.crashes, fmt.Sprintf("worker %d: %s after SIGTERM", h.number, end))
			}
		case <-deadline:
			h.process.Kill()
			c.crashes = append(c.crashes, fmt.Sprintf("worker %d does not end within %v of SIGTERM", h.number, within))
			deadline = time.After(0)
		}
	}
}

// close ends at once what is still there.
func (c *workerPool) close() {
	for _, h := range c.procs {
		c.mu.Lock()
		h.wanted = false
		c.mu.Unlock()
		if h.process != nil {
			h.process.Kill()
		}
		for _, p := range []*testbed.Proxy{h.redis, h.cloud} {
			if p != nil {
				p.Close()
			}
		}
	}
}
