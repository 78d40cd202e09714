package callback

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

const maxURLBytes = 2048

// errForbidden marks an address that we may not connect to.
var errForbidden = errors.New("the address is not allowed")

// CheckURL refuses, with one line that says why, a URL that [Sender.Send] would
// refuse for good: what is not https, holds a user name or password, or names an
// address that is not public. With allowPrivate http and private addresses pass.
// It looks nothing up: a name that resolves to a private address is refused when
// it is dialled. The error never repeats the URL, whose query may hold a secret.
func CheckURL(raw string, allowPrivate bool) error {
	_, err := parseURL(raw, newGuard(allowPrivate))
	return err
}

func parseURL(raw string, g *guard) (*url.URL, error) {
	if len(raw) > maxURLBytes {
		return nil, fmt.Errorf("callback: checking a URL: it has %d bytes, at most %d are allowed", len(raw), maxURLBytes)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The cause is left out: it quotes what it could not parse.
		return nil, errors.New("callback: checking a URL: it cannot be parsed as one")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("callback: checking a URL: it does not begin with https://")
	case u.Hostname() == "":
		return nil, errors.New("callback: checking a URL: it names no host")
	case u.User != nil:
		return nil, errors.New("callback: checking a URL: it holds a user name or a password")
	}
	host := u.Hostname()
	if u.Scheme == "http" && !g.allowPrivate {
		return nil, fmt.Errorf("callback: checking a URL of host %q: only https is allowed", host)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("callback: checking a URL of host %q: its port is not between 1 and 65535", host)
		}
	}
	if err := g.checkHost(host); err != nil {
		return nil, fmt.Errorf("callback: checking a URL of host %q: %w", host, err)
	}
	return u, nil
}

// guard decides which addresses may be connected to.
type guard struct {
	allowPrivate bool
	public       *ssrf.Guardian
	never        []netip.Prefix
}

// newGuard allows any port: since only https is spoken to public addresses, a
// service that is no webhook receiver gets nothing but a TLS handshake, and many
// receivers listen on a port of their own.
func newGuard(allowPrivate bool) *guard {
	return &guard{
		allowPrivate: allowPrivate,
		public:       ssrf.New(ssrf.WithAnyPort()),
		// The addresses at which clouds hand out credentials are no
		// receiver, on private networks either. Those that are not link-local:
		// Alibaba Cloud, Azure (in a public range), AWS and Oracle Cloud.
		never: []netip.Prefix{
			netip.MustParsePrefix("169.254.0.0/16"),
			netip.MustParsePrefix("fe80::/10"),
			netip.MustParsePrefix("100.100.100.200/32"),
			netip.MustParsePrefix("168.63.129.16/32"),
			netip.MustParsePrefix("fd00:ec2::254/128"),
			netip.MustParsePrefix("192.0.0.192/32"),
		},
	}
}

func (g *guard) checkAddr(addr netip.Addr) error {
	plain := addr.Unmap().WithZone("")
	for _, prefix := range g.never {
		if prefix.Contains(plain) {
			return fmt.Errorf("%w: %s is a cloud's metadata or a link-local address", errForbidden, addr)
		}
	}
	if g.allowPrivate {
		return nil
	}
	if err := g.public.SafeAddr(addr); err != nil {
		return fmt.Errorf("%w: %s is not public", errForbidden, addr)
	}
	return nil
}

// control is a [net.Dialer] Control: it sees the address that is about to be
// connected to, after resolution, so a name cannot be one address when it is
// checked and another when it is used.
func (g *guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s is no address", errForbidden, address)
	}
	return g.checkAddr(target.Addr())
}

// checkHost refuses by name what needs no resolver to be refused.
func (g *guard) checkHost(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		return g.checkAddr(addr)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return errors.New("it is no host name")
	}
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || isDigits(last) {
		// 127.1, 0x7f000001 and 2130706433 are loopback to some resolvers.
		return fmt.Errorf("%w: an IPv4 address is written as four decimal numbers", errForbidden)
	}
	if !g.allowPrivate && last == "localhost" {
		return fmt.Errorf("%w: localhost is not public", errForbidden)
	}
	return nil
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
