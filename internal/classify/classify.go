// Package classify says what an answer of the API means, or its absence: whose concern it
// is, what it proves of a call that creates, and whether the account must slow down. It
// keeps no state. What follows from an answer is the worker's decision.
package classify

import (
	"errors"
	"net/http"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// Kind is what an answer of the API, or its absence, is about. It says whose concern
// the answer is; what it proves of a call that creates is [tasks.Outcome].
type Kind uint8

const (
	// KindUnknown is a code that no rule names, and an error that no call made.
	KindUnknown Kind = iota
	// KindOK is a success.
	KindOK
	// KindRequest is a refusal of this request: the same request is refused again.
	KindRequest
	// KindFlow is flow control: the account is to slow down.
	KindFlow
	// KindBusy is a fault of the API that passes.
	KindBusy
	// KindAccount is a refusal of the account, or of this host, for every request.
	KindAccount
	// KindCredentials is a refusal of the access key or its token, or no key at all.
	KindCredentials
	// KindForeign is an answer that is not the API's: a page of a web server, a proxy,
	// a firewall.
	KindForeign
	// KindSilent means that the request may have been sent and no answer came.
	KindSilent
	// KindUnsent means that provably no byte of the request was sent.
	KindUnsent
)

// Verdict is the meaning of a call's error.
type Verdict struct {
	Kind Kind
	// Outcome is what the error proves of a CreateInstance call.
	Outcome tasks.Outcome
	// Throttled reports flow control: the account must slow down. It can be set together
	// with an ambiguous outcome.
	Throttled bool
	// Renew reports that the credentials may be out of date.
	Renew bool
}

// Away reports whether the answer, or its absence, shows that the API is unreachable or
// broken. Such an answer says nothing about a job.
func (v Verdict) Away(err error) bool {
	e, ok := CallError(err)
	switch {
	case !ok || v.Throttled:
		return false
	case v.Kind == KindUnsent, v.Kind == KindSilent, v.Kind == KindForeign:
		return true
	}
	return e.Status >= http.StatusInternalServerError
}

// Of classifies the error of a call, or its success if err is nil. It is total, and what it
// does not recognise is ambiguous: an unknown answer never leads to another call by itself,
// and never ends a job by its HTTP status alone.
//
// The order is that of trust: whether an answer came at all, whether it is the API's,
// its HTTP status and headers, and only then the code and its words (see words.go).
func Of(err error) Verdict {
	if err == nil {
		return Verdict{Kind: KindOK, Outcome: tasks.OutcomeSucceeded}
	}
	e, ok := CallError(err)
	switch {
	case !ok:
		return Verdict{}
	case errors.Is(e, cams.ErrCredentials) && !e.Sent:
		return Verdict{Kind: KindCredentials, Outcome: tasks.OutcomeBlocked, Renew: true}
	case !e.Sent:
		return Verdict{Kind: KindUnsent, Outcome: tasks.OutcomeUnsent}
	case e.Status == 0:
		return Verdict{Kind: KindSilent}
	case e.InstanceID != "", saysYes(e):
		return Verdict{} // says no and names an instance, or says yes and names none
	case e.Code == "":
		return foreign(e)
	}
	kind, sure := kindOf(e.Code, e.Message)
	switch {
	case kind == KindCredentials && refusing(e.Status):
		return Verdict{Kind: kind, Outcome: tasks.OutcomeBlocked, Renew: true}
	case e.RetryAfter > 0 || e.Status == http.StatusTooManyRequests:
		// The vendor's own command line takes the header for flow control whatever the
		// code is (aliyun-cli, pull request 1395).
		return flow(e, !afterAcceptance(e.Code))
	case kind == KindFlow:
		return flow(e, sure)
	case kind == KindUnknown && e.Status >= http.StatusInternalServerError:
		return Verdict{Kind: KindBusy}
	case !refusing(e.Status), begun(e.Status):
		return Verdict{Kind: kind}
	case kind == KindAccount, kind == KindUnknown && e.Status == http.StatusUnauthorized:
		return Verdict{Kind: KindAccount, Outcome: tasks.OutcomeBlocked}
	case kind == KindRequest:
		return Verdict{Kind: kind, Outcome: tasks.OutcomeRejected}
	}
	return Verdict{Kind: kind}
}

// foreign judges an answer that is not one of the API: it proves nothing about the job.
// A refusal by whatever stands in between meets every job, so it is the account's, or
// this host's way to the API.
func foreign(e *cams.Error) Verdict {
	switch {
	case e.Status == http.StatusTooManyRequests, e.RetryAfter > 0 && e.Status >= 400:
		return flow(e, true)
	case e.Status >= 400 && e.Status < 500 && !begun(e.Status):
		return Verdict{Kind: KindForeign, Outcome: tasks.OutcomeBlocked}
	}
	return Verdict{Kind: KindForeign}
}

// flow is the verdict of flow control. Only an answer of the gateway's kind proves that
// the call was turned away before it was carried out: sure says that the words do, and
// the status must be that of a refusal, or the 5xx that the gateway's own codes have
// been seen with.
func flow(e *cams.Error, sure bool) Verdict {
	v := Verdict{Kind: KindFlow, Throttled: true}
	if sure && (refusing(e.Status) && !begun(e.Status) && e.Status != http.StatusOK || gateway(e.Code) && e.Status >= 500) {
		v.Outcome = tasks.OutcomeThrottled
	}
	return v
}

// refusing reports whether a status can carry an answer that says no. The gateway says it
// with 4xx, the product with 200. Whatever else says no, a redirect for instance, may
// come from behind the write.
func refusing(status int) bool {
	return status == http.StatusOK || status >= 400 && status < 500
}

// begun reports whether an answer of that status may come from a call that has begun, or
// that goes on.
func begun(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, 499:
		return true
	}
	return status >= http.StatusInternalServerError
}

// saysYes reports whether the code is that of a success. An error with it contradicts itself.
func saysYes(e *cams.Error) bool { return e.Code == "OK" || e.Code == "200" }

// asCall returns the error as one that a call made, if it is.
func CallError(err error) (*cams.Error, bool) { return errors.AsType[*cams.Error](err) }
