package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// answer copies what the API said into the record, without what is personal.
func answer(r *tasks.Record, v verdict, err error) {
	e, ok := asCall(err)
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
	case v.outcome == tasks.OutcomeUnsent:
		r.Code = tasks.CodeUnsent
	case errors.Is(err, cams.ErrCredentials):
		r.Code = tasks.CodeNoCredentials
	case e.Status != 0:
		r.Code = fmt.Sprintf("HTTP.%d", e.Status)
	default:
		r.Code = tasks.CodeNoAnswer
	}
}

// eventInstance is an instance as the receiver is told of it: under the name and the
// channel type that the producer asked for, however the API spells them.
func eventInstance(r tasks.Record, i cams.Instance) *tasks.EventInstance {
	return &tasks.EventInstance{
		InstanceID: i.InstanceID, InstanceName: r.Request.InstanceName, ChannelType: r.Request.ChannelType,
		ResourceRegionID: i.ResourceRegionID, SubmitTime: i.SubmitTime,
	}
}

// namedInstance returns the instance that an answer named which is no success, or "".
func namedInstance(err error) string {
	if e, ok := asCall(err); ok {
		return e.InstanceID
	}
	return ""
}

func retryAfter(err error) time.Duration {
	if e, ok := asCall(err); ok {
		return e.RetryAfter
	}
	return 0
}
