package worker

import (
	"errors"
	"net/http"
	"strings"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// verdict is what a call's error means.
type verdict struct {
	outcome tasks.Outcome
	// throttled says that flow control spoke, so the account must slow down. It can
	// be true of an ambiguous outcome.
	throttled bool
	// renew says that the credentials may be out of date.
	renew bool
}

// rule tells what a code means. A pattern that ends in "*" is a prefix, one that
// begins with "*" a suffix, with both a part.
type rule struct {
	pattern string
	verdict verdict
}

var (
	ambiguous = verdict{outcome: tasks.OutcomeAmbiguous}
	rejected  = verdict{outcome: tasks.OutcomeRejected}
	blocked   = verdict{outcome: tasks.OutcomeBlocked}
	stale     = verdict{outcome: tasks.OutcomeBlocked, renew: true}
	throttled = verdict{outcome: tasks.OutcomeThrottled, throttled: true}
)

// rules are tried from the top; the first that matches counts. The codes are
// those of the gateway's and the product's error pages, and of the vendor's own
// Terraform provider; what each proves is our judgement. A code is looked at
// before the HTTP status, which varies for the same code between product pages.
var rules = []rule{
	// Turned away by the gateway, before the product.
	{"Throttling", throttled},
	{"Throttling.User", throttled},
	{"Throttling.Api", throttled},
	// Others of that family have been seen after the product had accepted
	// (terraform-provider-alicloud, pull request 10310).
	{"*Throttling*", verdict{outcome: tasks.OutcomeAmbiguous, throttled: true}},
	{"TooManyRequests", verdict{outcome: tasks.OutcomeAmbiguous, throttled: true}},

	// The product was busy with something: it may have begun.
	{"OperationConflict*", ambiguous},
	{"SystemBusy", ambiguous},
	{"System.Busy", ambiguous},
	{"LastTokenProcessing", ambiguous},
	{"ServiceUnavailable*", ambiguous},
	{"InternalError*", ambiguous},
	{"InternalServerError", ambiguous},
	{"UnknownError", ambiguous},
	{"*Timeout*", ambiguous},
	// Every request has a nonce of its own: if this one is used, it came twice, and
	// the first may have been carried out.
	{"SignatureNonceUsed", ambiguous},

	// The account or this host, not the job.
	{"InvalidTimeStamp*", blocked},
	{"IllegalTimestamp", blocked},
	{"InvalidSecurityToken*", stale},
	{"MissingSecurityToken", stale},
	{"*SecurityToken.Expired*", stale},
	{"InvalidAccessKeyId*", stale},
	{"InvalidAccessKeySecret*", stale},
	{"MissingAccessKeyId", stale},
	{"Forbidden.AccessKeyDisabled", stale},
	{"SignatureDoesNotMatch", stale},
	{"IncompleteSignature", blocked},
	{"InvalidSignatureMethod", blocked},
	{"NoPermission*", blocked},
	{"Forbidden*", blocked},
	{"Authentication.*", blocked},
	{"Unauthorized*", blocked},
	{"*NotSubscri*", blocked},
	{"*NotActivated*", blocked},
	{"*NotOpen*", blocked},
	{"InsufficientBalance*", blocked},
	{"NotEnoughBalance*", blocked},
	{"*Overdue*", blocked},
	{"*Arrear*", blocked},
	{"InvalidAction*", blocked},
	{"InvalidApi*", blocked},
	{"InvalidVersion*", blocked},
	{"NoSuchVersion*", blocked},
	{"InvalidProduct*", blocked},
	{"UnsupportedHTTPMethod", blocked},
	{"InvalidProtocol*", blocked},
	{"InvalidRegionId*", blocked},

	// This request, before any write.
	{"Missing*", rejected},
	{"Invalid*", rejected},
	{"UnsupportedParameter*", rejected},
	{"*NotSupport", rejected},
	{"*NotSupported", rejected},
	{"*NotExist", rejected},
}

// classify says what a CreateInstance error proves. It is total, and whatever it
// does not recognise is ambiguous: the unknown never calls again.
func classify(err error) verdict {
	if err == nil {
		return verdict{outcome: tasks.OutcomeSucceeded}
	}
	e, ok := asCall(err)
	switch {
	case !ok:
		return ambiguous
	case errors.Is(e, cams.ErrCredentials) && !e.Sent:
		return stale
	case !e.Sent:
		return verdict{outcome: tasks.OutcomeUnsent}
	case e.InstanceID != "", e.Code == "OK", e.Code == "200":
		return ambiguous // says no and names an instance, or says yes and names none
	}
	v, known := byCode(e)
	if !known {
		v = byStatus(e.Status)
	}
	if !believed(e.Status, v.outcome, known) {
		v.outcome = tasks.OutcomeAmbiguous
	}
	return v
}

// byCode judges an answer by its code; known is false if no rule names it.
func byCode(e *cams.Error) (v verdict, known bool) {
	if e.Code == "" {
		return verdict{}, false
	}
	// Some gateways put an expired token into the message of a general code.
	if strings.Contains(e.Message, "SecurityToken.Expired") {
		return stale, true
	}
	for _, r := range rules {
		if match(r.pattern, e.Code) {
			return r.verdict, true
		}
	}
	return verdict{}, false
}

// believed says whether a status can carry an answer that says no. The gateway
// says it with 4xx, and flow control has been seen with 503 too; the product says
// it with 200, and there only in codes that are known. Whatever else says no, a
// redirect for instance, may come from behind the write.
func believed(status int, o tasks.Outcome, known bool) bool {
	switch {
	case status >= 400 && status < 500:
		return true
	case o == tasks.OutcomeThrottled:
		return status >= 500
	}
	return status == http.StatusOK && known
}

// byStatus judges an answer whose code says nothing.
func byStatus(status int) verdict {
	switch {
	case status == http.StatusTooManyRequests:
		return throttled
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == 499:
		return ambiguous
	case status == http.StatusProxyAuthRequired, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return blocked // a proxy, a firewall: every job would meet it
	case status >= 400 && status < 500:
		return rejected
	}
	return ambiguous
}

func match(pattern, code string) bool {
	prefix, suffix := strings.HasSuffix(pattern, "*"), strings.HasPrefix(pattern, "*")
	word := strings.Trim(pattern, "*")
	switch {
	case prefix && suffix:
		return strings.Contains(code, word)
	case prefix:
		return strings.HasPrefix(code, word)
	case suffix:
		return strings.HasSuffix(code, word)
	}
	return code == word
}

// asCall returns the error as one that a call made, if it is.
func asCall(err error) (*cams.Error, bool) { return errors.AsType[*cams.Error](err) }
