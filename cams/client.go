package cams

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// Version is the version of the API that this package speaks.
	Version = "2020-06-06"

	// DefaultRegion is the only region that the vendor lists for CAMS.
	DefaultRegion = "ap-southeast-1"

	maxBody = 1 << 20
	// maxHeader bounds an answer's header fields, of which net/http would read 10 MB.
	maxHeader = 64 << 10
)

// Config says where the API is and who calls it.
type Config struct {
	// Endpoint is a host, https://host, or http://host for a host that is this
	// machine; each may have a port. Defaults to cams.REGION.aliyuncs.com.
	Endpoint string

	// Region names the default endpoint. Defaults to ap-southeast-1.
	Region string

	// Credentials is asked once per request. Required.
	Credentials CredentialSource

	// UserAgent defaults to "camsq".
	UserAgent string

	// DialContext opens connections, for instance to a server in memory. It replaces
	// the dialer and not the transport, because Error.Sent is only as true as the
	// transport's trace. Defaults to a [net.Dialer].
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client calls the API. It is safe for concurrent use. Make one per account and keep it.
type Client struct {
	base        url.URL
	userAgent   string
	credentials CredentialSource
	transport   *http.Transport
}

// New checks c and returns a client. It does not touch the network. The client
// uses the proxy that HTTPS_PROXY names, if any, and verifies certificates as Go does.
func New(c Config) (*Client, error) {
	if c.Credentials == nil {
		return nil, errors.New("cams: Config.Credentials is nil: give a source, such as StaticCredentials")
	}
	if c.Region == "" {
		c.Region = DefaultRegion
	}
	if !regionName.MatchString(c.Region) {
		return nil, fmt.Errorf("cams: region %q: want lower case letters, digits and dashes, such as %s", c.Region, DefaultRegion)
	}
	if c.Endpoint == "" {
		c.Endpoint = "cams." + c.Region + ".aliyuncs.com"
	}
	base, err := parseEndpoint(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if c.UserAgent == "" {
		c.UserAgent = "camsq"
	}
	return &Client{
		base:        base,
		userAgent:   c.UserAgent,
		credentials: c.Credentials,
		transport:   newTransport(c.DialContext),
	}, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

func newTransport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // one call per connection at a time: a reset loses one answer
	return &http.Transport{
		DialContext:         dial,
		Proxy:               proxyFromEnvironment,
		Protocols:           protocols,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64,
		// The vendor's load balancers drop idle connections after about 10 s, and a
		// create that meets such a reset is uncertain: a new handshake is cheaper.
		IdleConnTimeout:        5 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// proxyFromEnvironment hides the cause of an error, which quotes the proxy's password.
func proxyFromEnvironment(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("the proxy in the environment (HTTPS_PROXY) is not a URL")
	}
	return proxy, nil
}

var (
	regionName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	hostName   = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

func parseEndpoint(endpoint string) (url.URL, error) {
	scheme, rest, found := strings.Cut(endpoint, "://")
	if !found {
		scheme, rest = "https", endpoint
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.User != nil {
		// Not quoted: it may hold a password.
		return url.URL{}, errors.New("cams: the endpoint is not a host: want a host, such as cams.ap-southeast-1.aliyuncs.com")
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return url.URL{}, fmt.Errorf("cams: endpoint %q: want https://", endpoint)
	case net.ParseIP(host) == nil && !hostName.MatchString(host),
		strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return url.URL{}, fmt.Errorf("cams: endpoint %q: want a host and nothing else, such as cams.ap-southeast-1.aliyuncs.com", endpoint)
	case u.Scheme == "http" && !loopback(host):
		return url.URL{}, fmt.Errorf("cams: endpoint %q: plain http is only for this machine (127.0.0.1, ::1, localhost): use https://", endpoint)
	}
	return url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// call makes one request. Its error is always an *Error, complete but for what only
// the operation knows; the answer is also returned with an error if it could be read.
// The private values must not appear in an error.
func (c *Client) call(ctx context.Context, op string, params url.Values, private ...string) (answer, *Error) {
	unsent := func(err error) *Error { return &Error{Op: op, Err: err} }

	if err := ctx.Err(); err != nil {
		return answer{}, unsent(err)
	}
	credentials, err := c.credentials.Credentials(ctx)
	if err == nil {
		err = credentials.check()
	}
	if err != nil {
		return answer{}, unsent(fmt.Errorf("%w: %w", ErrCredentials, err))
	}
	private = append(private, credentials.AccessKeySecret, credentials.SecurityToken)

	// Without a connection no byte has left; with one, it is unknown how many did.
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	target := c.base
	target.RawQuery = canonicalQuery(params)
	// A POST, without a body and without an Idempotency-Key: net/http repeats a GET,
	// or whatever has that header, when a kept-alive connection ends without an answer.
	r := (&http.Request{Method: http.MethodPost, URL: &target, Header: http.Header{}}).WithContext(ctx)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.userAgent)
	r.Header.Set("x-acs-action", op)
	r.Header.Set("x-acs-version", Version)
	sign(r, credentials, time.Now(), newNonce())

	// Not through an http.Client: that one follows redirects, which sends the request a
	// second time, and puts the URL, and so personal data, into its errors.
	response, err := c.transport.RoundTrip(r)
	if err != nil {
		return answer{}, &Error{Op: op, Sent: sent.Load(), Err: presentable(err, private)}
	}
	defer response.Body.Close()

	facts := Error{Op: op, Sent: true, Status: response.StatusCode, RetryAfter: retryAfter(response.Header, time.Now())}
	facts.ServerTime, _ = http.ParseTime(response.Header.Get("Date"))
	a, err := readAnswer(response.Body)
	if err != nil {
		facts.Err = err
		return answer{}, &facts
	}
	facts.Code = readableCode(string(a.Code), private)
	facts.RequestID = readableRequestID(string(a.RequestID))
	facts.Message = message(notPlaceholder(string(a.Message)), private)
	facts.Denied = message(a.denied(), private)
	if facts.Code == CodeUnreadable {
		facts.Message = cut(strings.TrimSpace("its code is not readable: "+facts.Message), maxMessage)
	}
	a.facts = facts
	if response.StatusCode == http.StatusOK && a.ok() {
		return a, nil
	}
	return a, &facts
}

func readAnswer(r io.Reader) (answer, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxBody {
		return answer{}, errors.New("unreadable answer: the body is over 1 MiB")
	}
	return decode(body)
}
