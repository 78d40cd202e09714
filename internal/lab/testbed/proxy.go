package testbed

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// LinkState is how the network between a client and a server behaves.
type LinkState int

const (
	// LinkOpen passes everything on.
	LinkOpen LinkState = iota
	// LinkCut resets every connection, and each new one.
	LinkCut
	// LinkHeld passes nothing on and refuses nothing: what is sent arrives late.
	LinkHeld
	// LinkCutRequest resets a connection after a number of bytes from the client.
	LinkCutRequest
	// LinkCutAnswer passes the request on and resets the connection when the answer
	// arrives.
	LinkCutAnswer
)

func (l LinkState) String() string {
	return [...]string{"open", "cut", "held", "cut within the request", "cut before the answer"}[l]
}

// ProxyConfig describes a Proxy. Dial is required.
type ProxyConfig struct {
	// Dial connects to the server, once for each connection of a client.
	Dial func() (net.Conn, error)
	// Delay is how much later each byte arrives, in either direction. Any number of
	// bytes may be on their way. Zero adds none.
	Delay time.Duration
}

// Proxy is the network between a client and a server: a listener that passes bytes on,
// delays them and fails as it is told. Its methods are safe for concurrent use.
type Proxy struct {
	address string
	config  ProxyConfig
	running sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	link     LinkState
	bytes    int // of LinkCutRequest
	set      int // counts the calls of Set
	changed  chan struct{}
	conns    map[*conn]bool
	closed   bool
}

// conn is one connection through a proxy.
type conn struct {
	client, server net.Conn
	set, sent      int // how many bytes the client has sent since that call of Set
}

// StartProxy starts a proxy on a free port. Its link is open.
func StartProxy(c ProxyConfig) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a proxy: %w", err)
	}
	p := &Proxy{listener: l, address: l.Addr().String(), config: c, changed: make(chan struct{}), conns: map[*conn]bool{}}
	p.running.Go(func() { p.accept(l) })
	return p, nil
}

// Addr is host:port, the same for as long as the proxy lives.
func (p *Proxy) Addr() string { return p.address }

// Set changes how the network behaves from now on. bytes is that of LinkCutRequest.
func (p *Proxy) Set(l LinkState, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link, p.bytes = l, bytes
	p.set++
	close(p.changed)
	p.changed = make(chan struct{})
	if l == LinkCut {
		for c := range p.conns {
			c.reset()
		}
	}
}

// Leave resets every connection and refuses new ones, until Return.
func (p *Proxy) Leave() {
	p.stopListening()
	p.Set(LinkCut, 0)
}

func (p *Proxy) stopListening() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
}

// returnTime bounds how long another program may hold the proxy's port.
const returnTime = 30 * time.Second

// Return listens again on the same address after Leave.
func (p *Proxy) Return() error {
	deadline := time.Now().Add(returnTime)
	for {
		l, err := net.Listen("tcp", p.address)
		if err == nil {
			p.mu.Lock()
			p.listener = l
			p.mu.Unlock()
			p.Set(LinkOpen, 0)
			p.running.Go(func() { p.accept(l) })
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a proxy cannot listen on %s again: %w", p.address, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Close resets every connection and returns when all of them have ended.
func (p *Proxy) Close() {
	p.stopListening()
	p.Set(LinkCut, 0)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(client) })
	}
}

func (p *Proxy) connect(client net.Conn) {
	c := &conn{client: client}
	server, err := p.config.Dial()
	if err != nil {
		resetConn(client)
		return
	}
	c.server = server
	p.mu.Lock()
	if p.link == LinkCut || p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.conns[c] = true
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { p.copy(c, c.client, func(b []byte) bool { return p.forward(c, c.server, b, true) }) })
	both.Go(func() { p.copy(c, c.server, func(b []byte) bool { return p.forward(c, c.client, b, false) }) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// chunk is what was read at once, and when it is due at the other end.
type chunk struct {
	data []byte
	due  time.Time
}

// copy moves bytes one way until either end is closed, and then closes both. forward
// returns false when the connection has ended.
func (p *Proxy) copy(c *conn, from net.Conn, forward func([]byte) bool) {
	defer c.close()
	if p.config.Delay == 0 {
		read(from, forward)
		return
	}
	// So many chunks hold more than a socket's buffer: the reader does not wait for the writer.
	late := make(chan chunk, 4096)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer c.close()
		for ch := range late {
			sleepUntil(ch.due)
			if !forward(ch.data) {
				break
			}
		}
		c.close() // which ends the reader
		for range late {
		}
	})
	read(from, func(b []byte) bool {
		late <- chunk{slices.Clone(b), time.Now().Add(p.config.Delay)}
		return true
	})
	close(late)
	writing.Wait()
}

// read hands on what it reads, until the connection ends or handle returns false.
func read(from net.Conn, handle func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !handle(buf[:n]) || err != nil {
			return
		}
	}
}

// forward writes what the link lets through, and returns false when the connection has
// ended. What was read before a hold is written after it, even if the sender has gone
// meanwhile: a network does not take bytes back.
func (p *Proxy) forward(c *conn, to net.Conn, data []byte, request bool) bool {
	pass := p.pass(c, len(data), request)
	if _, err := to.Write(data[:pass]); err != nil {
		return false
	}
	if pass < len(data) {
		c.reset()
		return false
	}
	return true
}

// pass waits for as long as the link is held, and returns how many of the n bytes
// go on. Fewer than n mean that the connection ends after them.
func (p *Proxy) pass(c *conn, n int, request bool) int {
	for {
		p.mu.Lock()
		l, bytes, changed := p.link, p.bytes, p.changed
		if request && c.set != p.set {
			c.set, c.sent = p.set, 0
		}
		p.mu.Unlock()
		switch {
		case l == LinkHeld:
			<-changed
			continue
		case l == LinkCut, l == LinkCutAnswer && !request:
			return 0
		case l == LinkCutRequest && request:
			left := min(n, bytes-c.sent)
			c.sent += left
			return left
		}
		return n
	}
}

func (c *conn) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (c *conn) reset() {
	resetConn(c.client)
	resetConn(c.server)
}

// resetConn ends a connection with a reset and discards what is unsent.
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
