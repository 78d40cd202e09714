package cams

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrCredentials is wrapped by an [Error] whose call had no usable credentials.
// Such a call was not sent.
var ErrCredentials = errors.New("no credentials")

// Error is the only type of error that a call returns. It states what was seen,
// not what to do about it. It holds no credentials, and neither a contact mail
// nor an office address, even if the server's message repeats them.
type Error struct {
	// Op is the API operation, such as "CreateInstance".
	Op string

	// Sent is false only if no byte of the request can have reached the API: signing,
	// credentials, DNS, dialing, the TLS handshake, or a context that was done before
	// there was a connection. Whatever is not provably unsent is sent.
	Sent bool

	// Status is the HTTP status, or 0 if no answer came. A status of 200 is an error
	// if the answer's code is not OK, or if it is OK and names no instance or another one
	// than was asked for.
	Status int

	// Code is the API's code, such as "Throttling.User", CodeUnreadable for one of
	// another form, or empty if the answer could not be read or had none.
	Code string

	// Message is the API's text: at most 512 bytes of one line.
	Message string

	// Denied is what AccessDeniedDetail says, in one line, if it says anything.
	Denied string

	// RequestID is the API's own, for a support ticket; empty if it is of another form
	// than letters, digits and hyphens.
	RequestID string

	// InstanceID is set if the answer names an instance and yet is not a success: it
	// contradicts itself, or the request.
	InstanceID string

	// RetryAfter is the pause that the server asked for, or 0. At most 24 hours.
	RetryAfter time.Duration

	// ServerTime is the answer's Date header, or zero. It shows a local clock that is wrong.
	ServerTime time.Time

	// Err is the cause, if it was not the API that said no: no connection, no answer,
	// or an answer that could not be read.
	Err error
}

// Error is one line: the operation, how far the call got, what was said.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("cams: " + e.Op)
	switch {
	case !e.Sent:
		b.WriteString(": not sent")
	case e.Status == 0:
		b.WriteString(": sent, no answer")
	default:
		b.WriteString(": HTTP " + strconv.Itoa(e.Status))
		if e.Code != "" {
			b.WriteString(" " + e.Code)
		}
	}
	for _, part := range []string{e.Message, e.Denied} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	return b.String()
}

// Unwrap returns Err, so that errors.Is finds a context's end.
func (e *Error) Unwrap() error { return e.Err }

// presentable returns err, or its text alone if that needs a correction: net/http quotes
// a status line that it cannot read, and that may be anything.
func presentable(err error, private []string) error {
	text := message(err.Error(), private)
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

const maxRetryAfter = 24 * time.Hour

// retryAfter reads the headers by which the gateway asks for a pause. The vendor's
// core reads x-acs-retry-after (milliseconds) since v2.2, and before that TimeLeft
// (milliseconds) in x-ratelimit-user-api or x-ratelimit-user. Retry-After is what
// a proxy or a load balancer would send.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if d := units(h.Get("x-acs-retry-after"), time.Millisecond); d > 0 {
		return d
	}
	for _, name := range []string{"x-ratelimit-user-api", "x-ratelimit-user"} {
		if d := timeLeft(h.Get(name)); d > 0 {
			return d
		}
	}
	if d := units(h.Get("Retry-After"), time.Second); d > 0 {
		return d
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// timeLeft reads "Limit:1,Remain:0,TimeLeft:800". An account that has calls left is told
// how it stands, and asked for no pause.
func timeLeft(header string) (left time.Duration) {
	for field := range strings.SplitSeq(header, ",") {
		key, value, _ := strings.Cut(field, ":")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "timeleft":
			left = units(value, time.Millisecond)
		case "remain", "remaining":
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n > 0 {
				return 0
			}
		}
	}
	return left
}

func units(s string, unit time.Duration) time.Duration {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(min(n, int64(maxRetryAfter/unit))) * unit
}

// redact replaces what a server may repeat to us and must not be logged. A gateway that
// rejects a signature repeats the canonical request, so encoded forms are looked for too.
func redact(s string, private []string) string {
	for _, p := range private {
		if len(p) < 4 {
			continue // would only tear up the text around it
		}
		encoded := url.QueryEscape(p)
		canonical := canonicalSpace(encoded)
		for _, form := range []string{p, encoded, canonical, url.QueryEscape(canonical)} {
			s = strings.ReplaceAll(s, form, "REDACTED")
		}
	}
	return s
}
