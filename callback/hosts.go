package callback

import (
	"context"
	"sync"
	"time"
)

// maxGate bounds how long one answer can silence a whole host. Other paths of a
// host may belong to other receivers; each still keeps its own Retry-After.
const maxGate = time.Hour

// hosts keeps the pace of each host: so many tries at a time, and none while the
// host has asked for a pause.
type hosts struct {
	limit int
	mu    sync.Mutex
	known map[string]*host
}

type host struct {
	slots chan struct{}
	users int       // waiting for a slot or holding one
	until time.Time // the end of the pause that the host asked for
}

func newHosts(limit int) *hosts {
	return &hosts{limit: limit, known: map[string]*host{}}
}

// enter waits for one of the host's slots. If the host is gated it returns at
// once with the time that is left, and no slot is taken. Otherwise leave must be
// called, or the error is ctx's.
func (h *hosts) enter(ctx context.Context, name string) (gated time.Duration, err error) {
	x, gated := h.join(name)
	if gated > 0 {
		return gated, nil
	}
	select {
	case x.slots <- struct{}{}:
	case <-ctx.Done():
		h.quit(name)
		return 0, ctx.Err()
	}
	// The answer to another try may have closed the gate during the wait.
	h.mu.Lock()
	gated = time.Until(x.until)
	h.mu.Unlock()
	if gated > 0 {
		h.leave(name)
		return gated, nil
	}
	return 0, nil
}

func (h *hosts) join(name string) (*host, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.known[name]
	if x == nil {
		h.forget()
		x = &host{slots: make(chan struct{}, h.limit)}
		h.known[name] = x
	}
	if gated := time.Until(x.until); gated > 0 {
		return nil, gated
	}
	x.users++
	return x, 0
}

func (h *hosts) quit(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.known[name]
	x.users--
	if x.users == 0 && time.Until(x.until) <= 0 {
		delete(h.known, name)
	}
}

func (h *hosts) leave(name string) {
	h.mu.Lock()
	x := h.known[name]
	h.mu.Unlock()
	<-x.slots
	h.quit(name)
}

// gate sends no request to the host for a while. The caller holds one of its slots.
func (h *hosts) gate(name string, pause time.Duration) {
	until := time.Now().Add(min(pause, maxGate))
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.known[name]; until.After(x.until) {
		x.until = until
	}
}

// forget drops the hosts whose pause is over and that are not in use. Only gated
// hosts outlive their users, so there are few.
func (h *hosts) forget() {
	for name, x := range h.known {
		if x.users == 0 && time.Until(x.until) <= 0 {
			delete(h.known, name)
		}
	}
}
