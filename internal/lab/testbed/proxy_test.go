package testbed_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/lab/testbed"
)

func TestAProxyThatIsAwayRefusesAndComesBackToItsAddress(t *testing.T) {
	t.Parallel()
	dial, _ := echo(t)
	p, err := testbed.StartProxy(testbed.ProxyConfig{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Leave()
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		c.Close()
		t.Error("a connection is taken while it is away")
	}
	if err := p.Return(); err != nil {
		t.Fatal(err)
	}
	if answer, err := ask(p.Addr(), "request"); err != nil || answer != "request" {
		t.Errorf("after it came back: %q, %v", answer, err)
	}
}

// echo is a server that answers each line with the same line, and reports what it got.
func echo(t *testing.T) (dial func() (net.Conn, error), got chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got = make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 100)
				for {
					n, err := c.Read(buf)
					if n > 0 {
						got <- string(buf[:n])
						_, _ = c.Write(buf[:n])
					}
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }, got
}

func TestAProxyCutsWhereItIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		link     testbed.LinkState
		bytes    int
		arrives  string
		answered bool
	}{
		{testbed.LinkOpen, 0, "request", true},
		{testbed.LinkCut, 0, "", false},
		{testbed.LinkCutRequest, 3, "req", false},
		{testbed.LinkCutRequest, 7, "request", true},
		{testbed.LinkCutAnswer, 0, "request", false},
	} {
		t.Run(fmt.Sprintf("%v %d", tt.link, tt.bytes), func(t *testing.T) {
			dial, got := echo(t)
			p, err := testbed.StartProxy(testbed.ProxyConfig{Dial: dial})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			p.Set(tt.link, tt.bytes)
			answer, err := ask(p.Addr(), "request")
			if tt.answered != (err == nil && answer == "request") {
				t.Errorf("answer %q, %v", answer, err)
			}
			arrived := ""
			if tt.arrives != "" {
				arrived = <-got
			}
			if arrived != tt.arrives {
				t.Errorf("%q arrives, want %q", arrived, tt.arrives)
			}
		})
	}
}

func TestWhatAProxyHoldsComesLateEvenIfTheSenderHasGone(t *testing.T) {
	t.Parallel()
	dial, got := echo(t)
	p, err := testbed.StartProxy(testbed.ProxyConfig{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Set(testbed.LinkHeld, 0)
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "request"); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading while held: %v", err)
	}
	c.Close()
	select {
	case s := <-got:
		t.Errorf("%q arrives while held", s)
	default:
	}
	p.Set(testbed.LinkOpen, 0)
	if s := <-got; s != "request" {
		t.Errorf("%q arrives", s)
	}
}

func TestACutEndsConnectionsThatStand(t *testing.T) {
	t.Parallel()
	dial, _ := echo(t)
	p, err := testbed.StartProxy(testbed.ProxyConfig{Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 10)
	_, _ = io.WriteString(c, "x")
	if _, err := c.Read(buf); err != nil {
		t.Fatal(err)
	}
	p.Set(testbed.LinkCut, 0)
	if n, err := c.Read(buf); err == nil {
		t.Errorf("read %q after the cut", buf[:n])
	}
}

// Bytes overlap on their way: many in a row take one delay each way, and not one each.
func TestAProxyDelaysBytesWithoutQueueingThem(t *testing.T) {
	t.Parallel()
	const delay, n = 200 * time.Millisecond, 50
	dial, _ := echo(t)
	p, err := testbed.StartProxy(testbed.ProxyConfig{Dial: dial, Delay: delay})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := time.Now()
	for range n {
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(sent); d < 2*delay {
		t.Errorf("the first byte took %v, want at least %v", d, 2*delay)
	}
	if _, err := io.ReadFull(c, make([]byte, n-1)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(sent); d >= n*delay {
		t.Errorf("%d bytes took %v: they do not overlap", n, d)
	}
	p.Set(testbed.LinkCut, 0)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a delayed connection outlives a cut")
	}
}

// ask sends a request over a connection of its own and reads the answer.
func ask(addr, request string) (string, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, len(request))
	_, err = io.ReadFull(c, buf)
	return string(buf), err
}
