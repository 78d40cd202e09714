package prove

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

// linkState is how the network between a worker and something else behaves.
type linkState int

const (
	linkOpen linkState = iota
	// linkCut resets every connection, and each new one.
	linkCut
	// linkHeld lets nothing through and refuses nothing: what is sent comes late.
	linkHeld
	// linkCutRequest resets a connection after so many bytes of what the worker sends.
	linkCutRequest
	// linkCutAnswer lets the request through and resets the connection when the
	// answer comes.
	linkCutAnswer
)

func (l linkState) String() string {
	return [...]string{"open", "cut", "held", "cut within the request", "cut before the answer"}[l]
}

// proxy is a wire between a worker and something else, which can be cut.
type proxy struct {
	address string
	dial    func() (net.Conn, error)
	running sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	link     linkState
	bytes    int // of linkCutRequest
	set      int // counts the calls of put
	changed  chan struct{}
	wires    map[*conn]bool
	closed   bool
}

// conn is one connection through a proxy.
type conn struct {
	client, server net.Conn
	set, sent      int // how many bytes the worker has sent since that call of put
}

func newProxy(dial func() (net.Conn, error)) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a proxy: %w", err)
	}
	p := &proxy{listener: l, address: l.Addr().String(), dial: dial, changed: make(chan struct{}), wires: map[*conn]bool{}}
	p.running.Go(func() { p.accept(l) })
	return p, nil
}

func (p *proxy) addr() string { return p.address }

// put makes the network behave so from now on.
func (p *proxy) put(l linkState, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.bytes = l, bytes
	p.set++
	close(p.changed)
	p.changed = make(chan struct{})
	if l == linkCut {
		for w := range p.wires {
			w.reset()
		}
	}
}

// leave ends every connection and refuses new ones, until comeBack.
func (p *proxy) leave() {
	p.deafen()
	p.put(linkCut, 0)
}

// deafen stops listening.
func (p *proxy) deafen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
}

// comeBack listens again where it did. Another program may have the port for a moment.
func (p *proxy) comeBack() error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		l, err := net.Listen("tcp", p.address)
		if err == nil {
			p.mu.Lock()
			p.listener = l
			p.mu.Unlock()
			p.put(linkOpen, 0)
			p.running.Go(func() { p.accept(l) })
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a proxy cannot come back to %s: %w", p.address, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// close cuts everything and waits until nothing moves any more.
func (p *proxy) close() {
	p.deafen()
	p.put(linkCut, 0)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

func (p *proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(client) })
	}
}

func (p *proxy) connect(client net.Conn) {
	w := &conn{client: client}
	server, err := p.dial()
	if err != nil {
		resetConn(client)
		return
	}
	w.server = server
	p.mu.Lock()
	if p.link == linkCut || p.closed {
		p.mu.Unlock()
		w.reset()
		return
	}
	p.wires[w] = true
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { p.carry(w, w.client, w.server, true) })
	both.Go(func() { p.carry(w, w.server, w.client, false) })
	both.Wait()
	p.mu.Lock()
	delete(p.wires, w)
	p.mu.Unlock()
}

// carry moves bytes one way. What was read before a hold is written after it, even
// if the sender has gone meanwhile: a network does not take back.
func (p *proxy) carry(w *conn, from, to net.Conn, request bool) {
	defer w.close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pass := p.pass(w, n, request)
			if _, err := to.Write(buf[:pass]); err != nil {
				return
			}
			if pass < n {
				w.reset()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits for as long as the link is held, and returns how many of the n bytes
// go on. Fewer than n mean that the connection ends after them.
func (p *proxy) pass(w *conn, n int, request bool) int {
	for {
		p.mu.Lock()
		l, bytes, changed := p.link, p.bytes, p.changed
		if request && w.set != p.set {
			w.set, w.sent = p.set, 0
		}
		p.mu.Unlock()
		switch {
		case l == linkHeld:
			<-changed
			continue
		case l == linkCut, l == linkCutAnswer && !request:
			return 0
		case l == linkCutRequest && request:
			left := min(n, bytes-w.sent)
			w.sent += left
			return left
		}
		return n
	}
}

func (w *conn) close() {
	_ = w.client.Close()
	_ = w.server.Close()
}

func (w *conn) reset() {
	resetConn(w.client)
	resetConn(w.server)
}

// resetConn ends a connection with a reset, and forgets what is unsent.
func resetConn(c net.Conn) {
	raw := c
	if t, ok := c.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = raw.Close()
}
