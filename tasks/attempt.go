package tasks

import (
	"log/slog"
	"time"
)

// Attempt is one CreateInstance call, as the counter, the log line and the
// record all tell it.
type Attempt struct {
	Account string
	JobID   string
	Outcome Outcome
	// Status is the HTTP status, 0 when there was no answer.
	Status    int
	Code      string
	RequestID string
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
	return slog.GroupValue(
		slog.String("account", a.Account),
		slog.String("job", a.JobID),
		slog.String("outcome", a.Outcome.String()),
		slog.Int("status", a.Status),
		slog.String("code", a.Code),
		slog.String("request_id", a.RequestID),
		slog.Int("try", a.Try),
		slog.Duration("waited", a.Waited),
		slog.Duration("took", a.Took),
	)
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

// Finish is a job that entered a state that ends it or that parks it for a person.
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
