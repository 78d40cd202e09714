package tasks

import (
	"log/slog"
	"time"
)

// DeliveryResult says what is to become of a webhook after one try.
type DeliveryResult string

// The zero value is DeliveryRetry: a result that is not set loses no webhook. Print it with String: as a plain
// string it is empty.
const (
	DeliveryRetry     DeliveryResult = ""          // try again later
	DeliveryDelivered DeliveryResult = "delivered" // the receiver has it (2xx)
	DeliveryGone      DeliveryResult = "gone"      // the receiver wants no more (410)
	DeliveryRefused   DeliveryResult = "refused"   // we may not send to this URL, now or later
)

// DeliveryResults lists every result.
func DeliveryResults() []DeliveryResult {
	return []DeliveryResult{DeliveryRetry, DeliveryDelivered, DeliveryGone, DeliveryRefused}
}

// String names the result; the zero value is "retry".
func (r DeliveryResult) String() string {
	if r == DeliveryRetry {
		return "retry"
	}
	return string(r)
}

// The reasons of a delivery: a closed list, fit for a metric's label.
const (
	ReasonOK          = "ok"
	ReasonGone        = "gone"         // 410
	ReasonRefused     = "refused"      // the URL, or the address that its host resolves to, is not allowed
	ReasonRateLimited = "rate_limited" // 429
	ReasonClientError = "client_error" // any other 4xx
	ReasonServerError = "server_error" // 5xx
	ReasonRedirect    = "redirect"     // 3xx: not followed
	ReasonTimeout     = "timeout"
	ReasonConnection  = "connection" // refused, reset or closed
	ReasonTLS         = "tls"
	ReasonDNS         = "dns"
	ReasonGated       = "gated"       // nothing was sent: the host has asked for a pause
	ReasonInterrupted = "interrupted" // the sender itself was stopped
	ReasonOther       = "other"
)

// DeliveryReasons lists every reason.
func DeliveryReasons() []string {
	return []string{
		ReasonOK, ReasonGone, ReasonRefused, ReasonRateLimited, ReasonClientError, ReasonServerError, ReasonRedirect,
		ReasonTimeout, ReasonConnection, ReasonTLS, ReasonDNS, ReasonGated, ReasonInterrupted, ReasonOther,
	}
}

// Delivery is what one try to deliver a webhook came to.
type Delivery struct {
	Result DeliveryResult
	// Status is the receiver's HTTP status; 0 when there was no answer.
	Status int
	// RetryAfter is how long the receiver asked to be left alone; 0 when it did not ask.
	RetryAfter time.Duration
	// Reason is one of DeliveryReasons.
	Reason string
	// Detail is one line for an operator. It may name the host, never more of the URL. It is no metric's label.
	Detail string
	// Took is the time of the try itself, without the wait for a free slot.
	Took time.Duration
}

// CostsTry reports whether the try counts against the schedule. What the receiver had no part in does not.
func (d Delivery) CostsTry() bool {
	return d.Reason != ReasonGated && d.Reason != ReasonInterrupted
}

// LogValue gives the delivery as a group of attributes.
func (d Delivery) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("result", d.Result.String()),
		slog.String("reason", d.Reason),
		slog.Int("status", d.Status),
		slog.Duration("took", d.Took),
	}
	if d.RetryAfter > 0 {
		attrs = append(attrs, slog.Duration("retry_after", d.RetryAfter))
	}
	if d.Detail != "" {
		attrs = append(attrs, slog.String("detail", d.Detail))
	}
	return slog.GroupValue(attrs...)
}
