package tasks

import (
	"log/slog"
	"time"
)

// Attempt is one CreateInstance call, as the counter, the log line and the
// record all report it.
type Attempt struct {
	Account string
	JobID   string
	Outcome Outcome
	// Status is the HTTP status, 0 when there was no answer.
	Status    int
	Code      string
	RequestID string
	// Reason says why there is no answer of the API: the connection's error, or what
	// was unreadable. "" where the API has spoken.
	Reason string
	// Try is the number of calls that cost a try, this one included.
	Try int
	// Waited is how long the call waited for the account's quota, Took how long
	// the call itself lasted.
	Waited, Took time.Duration
	// Age is the time since the job was enqueued.
	Age time.Duration
}

// LogValue makes the one line that is logged of an attempt. It holds nothing
// that the producer typed but the job's ID.
func (a Attempt) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("account", a.Account),
		slog.String("job", a.JobID),
		slog.String("outcome", a.Outcome.String()),
		slog.Int("try", a.Try),
	}
	if a.Status != 0 {
		attrs = append(attrs, slog.Int("status", a.Status))
	}
	if a.Code != "" {
		attrs = append(attrs, slog.String("code", a.Code))
	}
	if a.RequestID != "" {
		attrs = append(attrs, slog.String("request_id", a.RequestID))
	}
	if a.Reason != "" {
		attrs = append(attrs, slog.String("reason", a.Reason))
	}
	return slog.GroupValue(append(attrs,
		slog.Duration("waited", a.Waited.Round(time.Millisecond)),
		slog.Duration("took", a.Took.Round(time.Millisecond)),
	)...)
}

// APICall is one request to the API, of any action, as a counter sees it.
type APICall struct {
	Account string
	// Action is the API's name of it, such as "ListInstance".
	Action  string
	Outcome Outcome
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// Code is the API's code, or camsq's own where there is none: it is that of the
	// record, as in [Progress.Code].
	Code string
	Took time.Duration
}

// Finish is a job that entered a state that ends it or that parks it for an operator.
type Finish struct {
	Account string
	State   State
	// Code is why, as in [Progress.Code].
	Code string
	// Adopted says that the instance was found by a lookup.
	Adopted bool
	// Age is the time from enqueueing to this.
	Age time.Duration
}
