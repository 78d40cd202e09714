package classify

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// Describe writes code, message and request ID of an answer into the record, without the
// personal data of the request.
func Describe(r *tasks.Record, v Verdict, err error) {
	e, ok := CallError(err)
	switch {
	case err == nil:
		r.Code, r.Message, r.RequestID = "OK", "", ""
		return
	case !ok:
		r.Code, r.Message, r.RequestID = tasks.CodeNoAnswer, "the call ended in an unknown way", ""
		return
	}
	r.Code, r.Message, r.RequestID = e.Code, e.Message, e.RequestID
	if r.Message == "" && e.Err != nil {
		r.Message = e.Err.Error()
	}
	r.Message = r.Request.Redact(r.Message)
	switch {
	case r.Code != "":
	case v.Outcome == tasks.OutcomeUnsent:
		r.Code = tasks.CodeUnsent
	case errors.Is(err, cams.ErrCredentials):
		r.Code = tasks.CodeNoCredentials
	case e.Status != 0:
		r.Code = fmt.Sprintf("HTTP.%d", e.Status)
	default:
		r.Code = tasks.CodeNoAnswer
	}
}

// NamedInstance returns the instance ID in an answer that is not a success, or "".
func NamedInstance(err error) string {
	if e, ok := CallError(err); ok {
		return e.InstanceID
	}
	return ""
}

// RetryAfter returns the pause that the answer asks for, or 0.
func RetryAfter(err error) time.Duration {
	if e, ok := CallError(err); ok {
		return e.RetryAfter
	}
	return 0
}

// Answered reports whether the error is an answer of the API with a code that says no.
func Answered(err error) bool {
	e, ok := CallError(err)
	return ok && e.Status != 0 && e.Code != "" && !saysYes(e) && e.InstanceID == ""
}

// Contradicted reports whether the answer says yes but cannot be relied upon, as a list that
// is never complete.
func Contradicted(err error) bool {
	e, ok := CallError(err)
	return ok && e.Status == http.StatusOK && saysYes(e)
}
