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
	freed   chan struct{} // closed and replaced when a worker is no longer busy
	done    map[faultKind]int
	pids    []int
	crashes []string
	killed  time.Time  // the last kill of a worker or of Redis
	refuse  sync.Mutex // one refusal of the account at a time
	restart sync.Mutex // one restart of Redis at a time
}

// proc is one worker, over all its restarts.
type proc struct {
	number     int
	redis, api *testbed.Proxy
	apiLink    sync.Mutex // one fault at a time

	// Guarded by the pool's mu.
	busy    bool // a fault keeps it from working
	wanted  bool // its process must run
	process *processes.Child
}

// poolConfig says what a worker pool consists of.
type poolConfig struct {
	workers int
	logs    string // the folder of their logs
	redis   *trialRedis
	api     *camstest.Server
	// command returns a worker process that reaches Redis and the API at these URLs.
	command func(redis, api string) *exec.Cmd
	say     func(format string, args ...any)
}

// startPool starts the workers, each with a proxy of its own to Redis and to CAMS.
func startPool(c poolConfig) (*workerPool, error) {
	endpoint, err := url.Parse(c.api.URL())
	if err != nil {
		return nil, err
	}
	dialAPI := func() (net.Conn, error) { return net.DialTimeout("tcp", endpoint.Host, 5*time.Second) }
	p := &workerPool{poolConfig: c, freed: make(chan struct{}), done: map[faultKind]int{}}
	for i := range c.workers {
		w := &proc{number: i + 1}
		p.procs = append(p.procs, w)
		if w.redis, err = testbed.StartProxy(testbed.ProxyConfig{Dial: c.redis.dial}); err == nil {
			w.api, err = testbed.StartProxy(testbed.ProxyConfig{Dial: dialAPI})
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

// start starts a worker's process, and records as a crash that it ends unexpectedly.
func (p *workerPool) start(w *proc) error {
	child, err := processes.Start(
		p.command(p.redis.through(w.redis.Addr()), "http://"+w.api.Addr()),
		filepath.Join(p.logs, fmt.Sprintf("worker-%d.log", w.number)),
	)
	if err != nil {
		return err
	}
	p.mu.Lock()
	w.process, w.wanted = child, true
	p.pids = append(p.pids, child.Pid())
	p.mu.Unlock()
	go func() {
		<-child.Exited()
		p.mu.Lock()
		defer p.mu.Unlock()
		if w.process == child && w.wanted {
			p.crashes = append(p.crashes, fmt.Sprintf("worker %d (pid %d) ended unexpectedly: %s", w.number, child.Pid(), child.Ended()))
		}
	}()
	return nil
}

// apply injects one fault and returns when it is over.
func (p *workerPool) apply(ctx context.Context, f fault) {
	switch f.kind {
	case faultRedis:
		p.restartRedis(ctx, f)
	case faultCutAPI:
		p.cutAPI(ctx, f)
	case faultRefused, faultPages:
		p.refuseAll(ctx, f)
	case faultAway:
		p.leave(ctx, f)
	case faultKill:
		p.withOne(ctx, f, p.killAndRestart)
	case faultFreeze:
		p.withOne(ctx, f, p.freeze)
	case faultCutRedis:
		p.withOne(ctx, f, p.cutRedis)
	}
}

// withOne applies a fault to a worker, when one may be kept from working.
func (p *workerPool) withOne(ctx context.Context, f fault, do func(context.Context, *proc, fault)) {
	w := p.pick(ctx, f.worker)
	if w == nil {
		return
	}
	defer p.release(w)
	p.count(f.kind)
	do(ctx, w, f)
}

func (p *workerPool) freeze(ctx context.Context, w *proc, f fault) {
	p.say("worker %d is frozen (SIGSTOP) for %v", w.number, f.length.Round(time.Second))
	_ = w.process.Signal(freezeSignal) // it may have ended
	sleep(ctx, f.length)
	_ = w.process.Signal(thawSignal)
}

func (p *workerPool) cutRedis(ctx context.Context, w *proc, f fault) {
	p.say("worker %d: its connection to Redis is %s for %v", w.number, f.link, f.length.Round(100*time.Millisecond))
	w.redis.Set(f.link, 0)
	sleep(ctx, f.length)
	w.redis.Set(testbed.LinkOpen, 0)
}

func (p *workerPool) killAndRestart(ctx context.Context, w *proc, f fault) {
	p.say("worker %d is killed (kill -9 %d)", w.number, w.process.Pid())
	p.mu.Lock()
	w.wanted = false
	p.mu.Unlock()
	w.process.Kill()
	p.noteKill()
	sleep(ctx, f.length)
	if err := p.start(w); err != nil {
		p.mu.Lock()
		p.crashes = append(p.crashes, fmt.Sprintf("worker %d: %v", w.number, err))
		p.mu.Unlock()
	}
}

func (p *workerPool) restartRedis(ctx context.Context, f fault) {
	p.restart.Lock()
	defer p.restart.Unlock()
	p.say("redis-server is killed (kill -9), and starts again after %v", f.length.Round(100*time.Millisecond))
	p.count(f.kind)
	p.redis.server.Kill()
	p.noteKill()
	sleep(ctx, f.length)
	// Also when ctx has ended: verify reads the ledger.
	if err := p.redis.server.Start(); err != nil {
		p.mu.Lock()
		p.crashes = append(p.crashes, "redis-server: "+err.Error())
		p.mu.Unlock()
	}
}

func (p *workerPool) cutAPI(ctx context.Context, f fault) {
	w := p.procs[f.worker]
	w.apiLink.Lock()
	defer w.apiLink.Unlock()
	if ctx.Err() != nil {
		return
	}
	p.say("worker %d: its connection to the API is %s for %v", w.number, f.link, f.length.Round(100*time.Millisecond))
	p.count(f.kind)
	w.api.Set(f.link, f.bytes)
	sleep(ctx, f.length)
	w.api.Set(testbed.LinkOpen, 0)
}

// refuseAll makes the API refuse every call in one way, for a while.
func (p *workerPool) refuseAll(ctx context.Context, f fault) {
	p.refuse.Lock()
	defer p.refuse.Unlock()
	if ctx.Err() != nil {
		return
	}
	refusal := oddRefusals[f.kind][f.bytes%len(oddRefusals[f.kind])]
	answer := refusal.Code
	if answer == "" {
		answer = fmt.Sprintf("a page with status %d", refusal.Status)
	}
	p.say("the API answers every call with %s for %v", answer, f.length.Round(100*time.Millisecond))
	p.count(f.kind)
	for _, op := range []string{"CreateInstance", "ListInstance"} {
		p.api.Always(op, &refusal)
		defer p.api.Always(op, nil)
	}
	sleep(ctx, f.length)
}

// leave makes the API unreachable for all workers: connections are refused.
func (p *workerPool) leave(ctx context.Context, f fault) {
	for _, w := range p.procs {
		w.apiLink.Lock()
		defer w.apiLink.Unlock()
	}
	if ctx.Err() != nil {
		return
	}
	p.say("the API is unreachable for %v", f.length)
	p.count(f.kind)
	for _, w := range p.procs {
		w.api.Leave()
	}
	sleep(ctx, f.length)
	for _, w := range p.procs {
		if err := w.api.Return(); err != nil {
			p.mu.Lock()
			p.crashes = append(p.crashes, err.Error())
			p.mu.Unlock()
		}
	}
	p.say("the API is reachable again")
}

// noteKill records the time of the last kill.
func (p *workerPool) noteKill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = time.Now()
}

// pick waits for a worker that a fault may keep from working: the wanted one, or the
// next. One of several is always left alone. Nil means that ctx has ended.
func (p *workerPool) pick(ctx context.Context, wanted int) *proc {
	for {
		p.mu.Lock()
		busy := 0
		for _, w := range p.procs {
			if w.busy {
				busy++
			}
		}
		if busy < max(1, len(p.procs)-1) {
			for i := range p.procs {
				w := p.procs[(wanted+i)%len(p.procs)]
				if !w.busy {
					w.busy = true
					p.mu.Unlock()
					return w
				}
			}
		}
		freed := p.freed
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-freed:
		}
	}
}

func (p *workerPool) release(w *proc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.busy = false
	close(p.freed)
	p.freed = make(chan struct{})
}

func (p *workerPool) count(k faultKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[k]++
}

// stop ends the workers with SIGTERM, and kills those that do not end in time.
func (p *workerPool) stop(within time.Duration) {
	p.mu.Lock()
	for _, w := range p.procs {
		w.wanted = false
	}
	p.mu.Unlock()
	deadline := time.After(within)
	for _, w := range p.procs {
		if w.process != nil {
			_ = w.process.Signal(syscall.SIGTERM) // it may have ended
		}
	}
	for _, w := range p.procs {
		if w.process == nil {
			continue
		}
		select {
		case <-w.process.Exited():
			// A process that has just started has no handler for SIGTERM yet, and dies of it.
			if end := w.process.Ended(); !end.Success() && end.String() != "signal: terminated" {
				p.crashes = append(p.crashes, fmt.Sprintf("worker %d: %s after SIGTERM", w.number, end))
			}
		case <-deadline:
			w.process.Kill()
			p.crashes = append(p.crashes, fmt.Sprintf("worker %d did not end within %v of SIGTERM", w.number, within))
			deadline = time.After(0)
		}
	}
}

// close kills what still runs and closes the proxies.
func (p *workerPool) close() {
	for _, w := range p.procs {
		p.mu.Lock()
		w.wanted = false
		p.mu.Unlock()
		if w.process != nil {
			w.process.Kill()
		}
		for _, proxy := range []*testbed.Proxy{w.redis, w.api} {
			if proxy != nil {
				proxy.Close()
			}
		}
	}
}
