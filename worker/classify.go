package worker

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

// KindOf says what the error of a call is about, whatever the action was.
func KindOf(err error) Kind { return classify(err).kind }

// verdict is what a call's error means.
type verdict struct {
	kind    Kind
	outcome tasks.Outcome
	// throttled says that flow control spoke, so the account must slow down. It can
	// be true of an ambiguous outcome.
	throttled bool
	// renew says that the credentials may be out of date.
	renew bool
}

// away says that the answer, or its absence, speaks of an API that is not there or not
// well, and of no job.
func (v verdict) away(err error) bool {
	e, ok := asCall(err)
	switch {
	case !ok || v.throttled:
		return false
	case v.kind == KindUnsent, v.kind == KindSilent, v.kind == KindForeign:
		return true
	}
	return e.Status >= http.StatusInternalServerError
}

// classify says what a call's error proves of a CreateInstance call. It is total, and
// what it does not recognise is ambiguous: the unknown never calls again by itself, and
// never ends a job by its HTTP status alone.
//
// The order is that of trust: whether an answer came at all, whether it is the API's,
// its HTTP status and headers, and only then the code and its words (see words.go).
func classify(err error) verdict {
	if err == nil {
		return verdict{kind: KindOK, outcome: tasks.OutcomeSucceeded}
	}
	e, ok := asCall(err)
	switch {
	case !ok:
		return verdict{}
	case errors.Is(e, cams.ErrCredentials) && !e.Sent:
		return verdict{kind: KindCredentials, outcome: tasks.OutcomeBlocked, renew: true}
	case !e.Sent:
		return verdict{kind: KindUnsent, outcome: tasks.OutcomeUnsent}
	case e.Status == 0:
		return verdict{kind: KindSilent}
	case e.InstanceID != "", saysYes(e):
		return verdict{} // says no and names an instance, or says yes and names none
	case e.Code == "":
		return foreign(e)
	}
	kind, sure := judge(e.Code, e.Message)
	switch {
	case kind == KindCredentials && refusing(e.Status):
		return verdict{kind: kind, outcome: tasks.OutcomeBlocked, renew: true}
	case e.RetryAfter > 0 || e.Status == http.StatusTooManyRequests:
		// The vendor's own command line takes the header for flow control whatever the
		// code is (aliyun-cli, pull request 1395).
		return flow(e, !afterAcceptance(e.Code))
	case kind == KindFlow:
		return flow(e, sure)
	case kind == KindUnknown && e.Status >= http.StatusInternalServerError:
		return verdict{kind: KindBusy}
	case !refusing(e.Status), begun(e.Status):
		return verdict{kind: kind}
	case kind == KindAccount, kind == KindUnknown && e.Status == http.StatusUnauthorized:
		return verdict{kind: KindAccount, outcome: tasks.OutcomeBlocked}
	case kind == KindRequest:
		return verdict{kind: kind, outcome: tasks.OutcomeRejected}
	}
	return verdict{kind: kind}
}

// foreign judges an answer that is not one of the API: it proves nothing about the job.
// A refusal by whatever stands in between meets every job, so it is the account's, or
// this host's way to the API.
func foreign(e *cams.Error) verdict {
	switch {
	case e.Status == http.StatusTooManyRequests, e.RetryAfter > 0 && e.Status >= 400:
		return flow(e, true)
	case e.Status >= 400 && e.Status < 500 && !begun(e.Status):
		return verdict{kind: KindForeign, outcome: tasks.OutcomeBlocked}
	}
	return verdict{kind: KindForeign}
}

// flow is the verdict of flow control. Only an answer of the gateway's kind proves that
// the call was turned away before it was carried out: sure says that the words do, and
// the status must be that of a refusal, or the 5xx that the gateway's own codes have
// been seen with.
func flow(e *cams.Error, sure bool) verdict {
	v := verdict{kind: KindFlow, throttled: true}
	if sure && (refusing(e.Status) && !begun(e.Status) && e.Status != http.StatusOK || gateway(e.Code) && e.Status >= 500) {
		v.outcome = tasks.OutcomeThrottled
	}
	return v
}

// refusing says whether a status can carry an answer that says no. The gateway says it
// with 4xx, the product with 200. Whatever else says no, a redirect for instance, may
// come from behind the write.
func refusing(status int) bool {
	return status == http.StatusOK || status >= 400 && status < 500
}

// begun says whether an answer of that status may come from a call that has begun, or
// that goes on.
func begun(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, 499:
		return true
	}
	return status >= http.StatusInternalServerError
}

// saysYes says whether the code is one of a success. An error that has it contradicts itself.
func saysYes(e *cams.Error) bool { return e.Code == "OK" || e.Code == "200" }

// asCall returns the error as one that a call made, if it is.
func asCall(err error) (*cams.Error, bool) { return errors.AsType[*cams.Error](err) }
