package callback

import (
	"context"
	"net"
)

// DialWith lets a test stand in for the network behind the guard.
func (s *Sender) DialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	s.transport.DialContext = dial
}

// Hosts is the number of hosts that the sender remembers.
func (s *Sender) Hosts() int {
	s.hosts.mu.Lock()
	defer s.hosts.mu.Unlock()
	return len(s.hosts.known)
}
