package callback_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// resolver answers every lookup with what answer gives for the name; no address means that there is no such name.
func resolver(answer func(name string) []string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serveDNS(theirs, answer)
		return ours, nil
	}}
}

// serveDNS speaks DNS over a stream (RFC 1035, 4.2.2): as much as the Go resolver asks for.
func serveDNS(conn net.Conn, answer func(name string) []string) {
	defer conn.Close()
	const typeA, typeAAAA, nameError = 1, 28, 3
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		var labels []string
		at := 12
		for query[at] != 0 {
			n := int(query[at])
			labels = append(labels, string(query[at+1:at+1+n]))
			at += 1 + n
		}
		kind := binary.BigEndian.Uint16(query[at+1:])
		question := query[12 : at+5]

		addresses := answer(strings.Join(labels, "."))
		var records []byte
		count := 0
		for _, text := range addresses {
			addr := netip.MustParseAddr(text)
			if (kind == typeA) != addr.Is4() || kind != typeA && kind != typeAAAA {
				continue
			}
			raw := addr.AsSlice()
			records = append(records, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
			records = append(records, raw...)
			count++
		}
		flags := byte(0x80)
		if len(addresses) == 0 {
			flags |= nameError
		}
		reply := append([]byte{query[0], query[1], 0x81, flags, 0, 1, 0, byte(count), 0, 0, 0, 0}, question...)
		reply = append(reply, records...)
		reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

// countingListener counts the connections that reach it, before a byte is read.
type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// memoryNetwork is a network of HTTP servers without sockets, so that a synctest bubble can hold it.
type memoryNetwork map[string]*memoryListener

// serve starts a server for the host and port; it ends with the test.
func (m memoryNetwork) serve(t *testing.T, address string, handler http.HandlerFunc) {
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	m[address] = l
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

func (m memoryNetwork) dial(ctx context.Context, _, address string) (net.Conn, error) {
	l, ok := m[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	close(l.closed)
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{} }
