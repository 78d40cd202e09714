package callback

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/camsq/camsq/tasks"
)

const maxAnswerBytes = 64 << 10

// Config is what a [Sender] needs.
type Config struct {
	// Keys sign every webhook, all of them. Required: each must be a whsec_ or
	// whsk_ key.
	Keys Keyring
	// AllowPrivate lets webhooks go to private addresses and over http, for
	// receivers of one's own. Cloud metadata addresses stay refused. Defaults to
	// false.
	AllowPrivate bool
	// PerHost is how many tries may be under way to one host and port. Defaults
	// to 8.
	PerHost int
	// Timeout bounds one try, from the lookup of the name to the end of the
	// answer. Defaults to 15 s.
	Timeout time.Duration
	// RootCAs are the certificate authorities that are trusted. Defaults to the
	// system's.
	RootCAs *x509.CertPool
	// Resolver looks names up. Defaults to Go's own, with the system's settings.
	Resolver *net.Resolver
	// Version stands in the User-Agent, "camsq/VERSION". Defaults to "dev".
	Version string
}

func (c Config) withDefaults() Config {
	if c.PerHost == 0 {
		c.PerHost = 8
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Keys.Len() == 0:
		return errors.New("callback: new sender: there is no key to sign with: give a whsec_ secret")
	case !c.Keys.CanSign():
		return errors.New("callback: new sender: a whpk_ key can only verify: give the whsk_ key of the pair")
	case c.PerHost < 0:
		return fmt.Errorf("callback: new sender: PerHost is %d, want 1 or more", c.PerHost)
	case c.Timeout < 0:
		return fmt.Errorf("callback: new sender: Timeout is %s, want more than 0", c.Timeout)
	}
	return nil
}

// Sender sends webhooks. It is safe for concurrent use.
type Sender struct {
	config    Config
	guard     *guard
	transport *http.Transport
	hosts     *hosts
}

// NewSender checks the configuration and makes a Sender.
func NewSender(config Config) (*Sender, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	g := newGuard(config.AllowPrivate)
	// A dial outlives the try that began it, so it has a timeout of its own.
	dialer := &net.Dialer{Control: g.control, Resolver: config.Resolver, Timeout: config.Timeout}
	return &Sender{
		config: config,
		guard:  g,
		transport: &http.Transport{
			// A proxy would connect to whatever address it likes.
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: config.RootCAs},
			TLSHandshakeTimeout:    config.Timeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    config.PerHost,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswerBytes,
		},
		hosts: newHosts(config.PerHost),
	}, nil
}

// Close drops the connections that are idle. A closed Sender can still send.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send makes one try to deliver the body to the URL under the webhook's ID, which
// must stay the same on every try (letters, digits and punctuation but no dot).
// It waits for a free slot of the host as long as ctx allows; then the try has
// Config.Timeout. A host that answers 429 or 503 with a Retry-After is left alone
// by this Sender until then, but for one hour at most: meanwhile Send returns at
// once with ReasonGated.
func (s *Sender) Send(ctx context.Context, rawURL, id string, body []byte) tasks.Delivery {
	target, err := parseURL(rawURL, s.guard)
	if err != nil {
		return refused(err)
	}
	host := hostKey(target)
	gated, err := s.hosts.enter(ctx, host)
	if err != nil {
		return tasks.Delivery{Reason: tasks.ReasonInterrupted, Detail: "stopped while waiting for a free slot of " + host}
	}
	if gated > 0 {
		return tasks.Delivery{
			Reason: tasks.ReasonGated, RetryAfter: gated,
			Detail: fmt.Sprintf("%s asked for a pause that lasts another %s", host, gated.Round(time.Second)),
		}
	}
	defer s.hosts.leave(host)

	began := time.Now()
	delivery := s.try(ctx, target, id, body)
	delivery.Took = time.Since(began)
	if delivery.RetryAfter > 0 && (delivery.Status == http.StatusTooManyRequests || delivery.Status == http.StatusServiceUnavailable) {
		s.hosts.gate(host, delivery.RetryAfter)
	}
	return delivery
}

func (s *Sender) try(ctx context.Context, target *url.URL, id string, body []byte) tasks.Delivery {
	headers, err := Sign(id, time.Now(), body, s.config.Keys)
	if err != nil {
		return refused(err)
	}
	headers.Set("Content-Type", "application/json")
	headers.Set("User-Agent", "camsq/"+s.config.Version)

	var handshakeFailed atomic.Bool
	tryCtx, cancel := context.WithTimeout(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) { handshakeFailed.Store(err != nil) },
	}), s.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(tryCtx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return refused(errors.New("callback: making the request: the URL cannot be used"))
	}
	request.Header = headers

	// RoundTrip and not Client.Do: one request, no redirect, no cookie.
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return unanswered(ctx, err, handshakeFailed.Load())
	}
	defer response.Body.Close()
	// The status has decided already. What is read lets the connection be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswerBytes))
	return answered(response.StatusCode, response.Header, time.Now())
}

func refused(err error) tasks.Delivery {
	return tasks.Delivery{Result: tasks.DeliveryRefused, Reason: tasks.ReasonRefused, Detail: err.Error()}
}

func answered(status int, header http.Header, now time.Time) tasks.Delivery {
	d := tasks.Delivery{Status: status, Detail: "status " + strconv.Itoa(status)}
	switch {
	case status >= 200 && status < 300:
		return tasks.Delivery{Result: tasks.DeliveryDelivered, Status: status, Reason: tasks.ReasonOK}
	case status == http.StatusGone:
		d.Result, d.Reason = tasks.DeliveryGone, tasks.ReasonGone
		return d
	case status == http.StatusTooManyRequests:
		d.Reason = tasks.ReasonRateLimited
	case status >= 300 && status < 400:
		d.Reason = tasks.ReasonRedirect
	case status >= 400 && status < 500:
		d.Reason = tasks.ReasonClientError
	case status >= 500 && status < 600:
		d.Reason = tasks.ReasonServerError
	default:
		d.Reason = tasks.ReasonOther
	}
	d.RetryAfter = retryAfter(header.Get("Retry-After"), now)
	return d
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3), up to [MaxRetryAfter].
// What is neither, or in the past, asks for nothing.
func retryAfter(value string, now time.Time) time.Duration {
	if value != "" && isDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

// unanswered names what went wrong. The details of errors that may quote what
// the peer sent are left out.
func unanswered(ctx context.Context, err error, handshakeFailed bool) tasks.Delivery {
	var (
		dns    *net.DNSError
		op     *net.OpError
		system syscall.Errno
		soon   interface{ Timeout() bool }
	)
	switch {
	case ctx.Err() != nil:
		return tasks.Delivery{Reason: tasks.ReasonInterrupted, Detail: "stopped before the answer came"}
	case errors.Is(err, errForbidden):
		return refused(err)
	case errors.As(err, &dns):
		return tasks.Delivery{Reason: tasks.ReasonDNS, Detail: oneLine(dns.Error())}
	case errors.As(err, &soon) && soon.Timeout():
		return tasks.Delivery{Reason: tasks.ReasonTimeout, Detail: "no answer in time"}
	case handshakeFailed:
		return tasks.Delivery{Reason: tasks.ReasonTLS, Detail: oneLine(err.Error())}
	case errors.As(err, &system):
		return tasks.Delivery{Reason: tasks.ReasonConnection, Detail: system.Error()}
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return tasks.Delivery{Reason: tasks.ReasonConnection, Detail: "the connection was closed before the answer"}
	}
	return tasks.Delivery{Reason: tasks.ReasonOther, Detail: "the answer is not HTTP that can be read"}
}

// oneLine keeps a text that a peer may have had a hand in to one short line.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}

// hostKey names the host and port that share a pace.
func hostKey(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port)
}
