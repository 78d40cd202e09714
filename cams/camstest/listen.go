package camstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/camsq/camsq/cams"
)

// listening is how requests come in besides ServeHTTP: a socket, pipes in memory, or both.
type listening struct {
	closed chan struct{}

	mu      sync.Mutex
	url     string
	pipes   *pipeListener
	servers []*http.Server
}

var errClosed = errors.New("camstest: the server is closed")

// Start listens on a free port of the loopback interface. URL says where.
func (s *Server) Start() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("camstest: starting: %w", err)
	}
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	if err := s.serve(l); err != nil {
		return errors.Join(err, l.Close())
	}
	s.listening.url = "http://" + l.Addr().String()
	return nil
}

// URL returns where Start listens, such as "http://127.0.0.1:41234", or "".
func (s *Server) URL() string {
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	return s.listening.url
}

// Close ends all connections and everything that hangs. The instances stay to be counted.
func (s *Server) Close() {
	s.listening.mu.Lock()
	defer s.listening.mu.Unlock()
	select {
	case <-s.listening.closed:
		return
	default:
	}
	close(s.listening.closed)
	for _, server := range s.listening.servers {
		_ = server.Close()
	}
}

// serve needs listening.mu.
func (s *Server) serve(l net.Listener) error {
	select {
	case <-s.listening.closed:
		return errClosed
	default:
	}
	server := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	s.listening.servers = append(s.listening.servers, server)
	go func() { _ = server.Serve(l) }() // ends with Close
	return nil
}

// ClientConfig is the configuration of a client with that key: over the socket if Start
// was called, else in memory. An empty keyID is the first key by name.
func (s *Server) ClientConfig(keyID string) cams.Config {
	keyID = s.keyOr(keyID)
	c := cams.Config{
		Endpoint: s.URL(),
		Credentials: cams.StaticCredentials(cams.Credentials{
			AccessKeyID:     keyID,
			AccessKeySecret: s.config.Keys[keyID],
			SecurityToken:   s.config.Tokens[keyID],
		}),
	}
	if c.Endpoint == "" {
		c.Endpoint, c.DialContext = "http://127.0.0.1", s.DialContext
	}
	return c
}

func (s *Server) keyOr(keyID string) string {
	if keyID != "" {
		return keyID
	}
	return slices.Min(slices.Collect(maps.Keys(s.config.Keys)))
}

// Transport is for HTTP clients of other makes: whatever host they name, it is this
// server, in memory, without TLS.
func (s *Server) Transport() *http.Transport {
	return &http.Transport{DialContext: s.DialContext}
}

// DialContext opens a connection in memory to the server. The address does not matter.
// It is a real HTTP connection, so that a client sees resets and hangs as from a network.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	s.listening.mu.Lock()
	if s.listening.pipes == nil {
		pipes := &pipeListener{conns: make(chan net.Conn), closed: s.listening.closed}
		if err := s.serve(pipes); err != nil {
			s.listening.mu.Unlock()
			return nil, err
		}
		s.listening.pipes = pipes
	}
	pipes := s.listening.pipes
	s.listening.mu.Unlock()

	client, server := net.Pipe()
	select {
	case pipes.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-pipes.closed:
		return nil, errClosed
	}
}

// pipeListener accepts the other ends of pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error { return nil } // Server.Close ends it

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "camstest" }
