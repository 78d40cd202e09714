package classify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// The verdicts of the tables, without their kinds.
var (
	ambiguous = Verdict{Outcome: tasks.OutcomeAmbiguous}
	rejected  = Verdict{Outcome: tasks.OutcomeRejected}
	blocked   = Verdict{Outcome: tasks.OutcomeBlocked}
	stale     = Verdict{Outcome: tasks.OutcomeBlocked, Renew: true}
	throttled = Verdict{Outcome: tasks.OutcomeThrottled, Throttled: true}
	slowed    = Verdict{Outcome: tasks.OutcomeAmbiguous, Throttled: true}
)

func TestClassify(t *testing.T) {
	said := func(status int, code string) error { return &cams.Error{Sent: true, Status: status, Code: code} }
	apiError := func(status int, code, message string) error {
		return &cams.Error{Sent: true, Status: status, Code: code, Message: message}
	}
	paused := func(status int, code string) error {
		return &cams.Error{Sent: true, Status: status, Code: code, RetryAfter: time.Second}
	}
	tests := []struct {
		name string
		err  error
		want Verdict
	}{
		{"an instance", nil, Verdict{Outcome: tasks.OutcomeSucceeded}},

		{"200 OK without an instance", said(200, "OK"), ambiguous},
		{"200 with code 200 without an instance", said(200, "200"), ambiguous},
		{"200 with an unknown code", said(200, "Biz.Whatever"), ambiguous},
		{"200 that cannot be read", &cams.Error{Sent: true, Status: 200, Err: errors.New("not JSON")}, ambiguous},
		{"200 InvalidParameter.ChannelTypeNotSupport", said(200, "InvalidParameter.ChannelTypeNotSupport"), rejected},
		{"200 InvalidParameter.PhoneNumberError", said(200, "InvalidParameter.PhoneNumberError"), rejected},
		{"200 QueryError.InstanceNotExist", said(200, "QueryError.InstanceNotExist"), rejected},
		{"200 Authentication.NoAuth", said(200, "Authentication.NoAuth"), blocked},
		{"200 SystemBusy", said(200, "SystemBusy"), ambiguous},
		{"200 Throttling.User is the product's word, not the gateway's", said(200, "Throttling.User"), slowed},
		{"200 InvalidParameter with an instance", &cams.Error{Sent: true, Status: 200, Code: "InvalidParameter", InstanceID: "1"}, ambiguous},
		{"201 InvalidParameter", said(201, "InvalidParameter"), ambiguous},

		{"400 Throttling", said(400, "Throttling"), throttled},
		{"400 Throttling.User", said(400, "Throttling.User"), throttled},
		{"429 Throttling.Api", said(429, "Throttling.Api"), throttled},
		{"503 Throttling.User", said(503, "Throttling.User"), throttled},
		{"400 Throttling.ConcurrentLimitExceeded", said(400, "Throttling.ConcurrentLimitExceeded"), slowed},
		{"400 Rejected.Throttling", said(400, "Rejected.Throttling"), slowed},
		{"503 Rejected.Throttling", said(503, "Rejected.Throttling"), slowed},
		{"429 without a code", said(429, ""), throttled},
		{"429 with an unknown code", said(429, "SlowDown"), throttled},

		{"400 SignatureNonceUsed", said(400, "SignatureNonceUsed"), ambiguous},
		{"400 InvalidTimeStamp.Expired", said(400, "InvalidTimeStamp.Expired"), blocked},
		{"400 InvalidTimeStamp.Format", said(400, "InvalidTimeStamp.Format"), blocked},
		{"400 IllegalTimestamp", said(400, "IllegalTimestamp"), blocked},
		{"400 InvalidSecurityToken.Expired", said(400, "InvalidSecurityToken.Expired"), stale},
		{"400 InvalidSecurityToken.Malformed", said(400, "InvalidSecurityToken.Malformed"), stale},
		{"400 MissingSecurityToken", said(400, "MissingSecurityToken"), stale},
		{
			"400 InvalidParameter whose message names an expired token",
			&cams.Error{Sent: true, Status: 400, Code: "InvalidParameter", Message: "code: SecurityToken.Expired, the token is too old"},
			stale,
		},
		{"404 InvalidAccessKeyId.NotFound", said(404, "InvalidAccessKeyId.NotFound"), stale},
		{"400 InvalidAccessKeyId.Inactive", said(400, "InvalidAccessKeyId.Inactive"), stale},
		{"403 Forbidden.AccessKeyDisabled", said(403, "Forbidden.AccessKeyDisabled"), stale},
		{"400 SignatureDoesNotMatch", said(400, "SignatureDoesNotMatch"), stale},
		{"403 SignatureDoesNotMatch", said(403, "SignatureDoesNotMatch"), stale},
		{"400 IncompleteSignature", said(400, "IncompleteSignature"), blocked},
		{"400 InvalidSignatureMethod", said(400, "InvalidSignatureMethod"), blocked},
		{"403 NoPermission", said(403, "NoPermission"), blocked},
		{"403 Forbidden", said(403, "Forbidden"), blocked},
		{"403 Forbidden.RAM", said(403, "Forbidden.RAM"), blocked},
		{"403 Forbidden.RiskControl", said(403, "Forbidden.RiskControl"), blocked},
		{"400 InsufficientBalance", said(400, "InsufficientBalance"), blocked},
		{"403 ServiceNotActivated", said(403, "ServiceNotActivated"), blocked},
		{"404 InvalidAction.NotFound", said(404, "InvalidAction.NotFound"), blocked},
		{"404 InvalidApi.NotFound", said(404, "InvalidApi.NotFound"), blocked},
		{"400 InvalidVersion", said(400, "InvalidVersion"), blocked},
		{"400 NoSuchVersion", said(400, "NoSuchVersion"), blocked},
		{"404 InvalidProduct.NotFound", said(404, "InvalidProduct.NotFound"), blocked},
		{"405 UnsupportedHTTPMethod", said(405, "UnsupportedHTTPMethod"), blocked},
		{"400 InvalidProtocol.NeedSsl", said(400, "InvalidProtocol.NeedSsl"), blocked},

		{"400 MissingParameter", said(400, "MissingParameter"), rejected},
		{"400 MissingInstanceName", said(400, "MissingInstanceName"), rejected},
		{"400 InvalidParameter", said(400, "InvalidParameter"), rejected},
		{"400 InvalidInstanceName.Malformed", said(400, "InvalidInstanceName.Malformed"), rejected},
		{"400 UnsupportedParameter", said(400, "UnsupportedParameter"), rejected},
		{"400 with an unknown code", said(400, "Biz.Whatever"), ambiguous},
		{"401 with an unknown code", said(401, "Biz.Whatever"), blocked},
		{"403 with an unknown code", said(403, "Biz.Whatever"), ambiguous},
		{"400 IllegalParam.X", said(400, "IllegalParam.X"), rejected},
		{"400 ParameterIllegal", said(400, "ParameterIllegal"), rejected},
		{"400 InvalidParameter.AccountStatus names a parameter", said(400, "InvalidParameter.AccountStatus"), rejected},
		{"400 InvalidParameter.Conflict names a parameter", said(400, "InvalidParameter.Conflict"), rejected},
		{"429 InvalidParameter", said(429, "InvalidParameter"), throttled},
		{"409 InvalidParameter", said(409, "InvalidParameter"), ambiguous},
		{"409 InsufficientBalance", said(409, "InsufficientBalance"), ambiguous},
		{"400 with an unknown code and a pause", paused(400, "Some.New.Limit"), throttled},
		{"400 InvalidParameter and a pause", paused(400, "InvalidParameter"), throttled},
		{"403 NoPermission and a pause", paused(403, "NoPermission"), throttled},
		{"400 Throttling.Other and a pause", paused(400, "Throttling.Other"), slowed},
		{"409 with a pause", paused(409, "Whatever"), slowed},
		{"503 with a pause", paused(503, "ServiceUnavailable"), slowed},
		{"200 with a pause", paused(200, "Biz.Whatever"), slowed},
		{"503 page with a pause", paused(503, ""), slowed},
		{"403 page with a pause", paused(403, ""), throttled},
		{"200 isv.AMOUNT_NOT_ENOUGH", said(200, "isv.AMOUNT_NOT_ENOUGH"), blocked},
		{"200 isv.BUSINESS_LIMIT_CONTROL", said(200, "isv.BUSINESS_LIMIT_CONTROL"), slowed},
		{"an unknown code whose message speaks of the balance", apiError(400, "Biz.Whatever", "Your account has insufficient balance."), blocked},
		{"an unknown code whose message speaks of flow control", apiError(400, "Biz.Whatever", "Request was denied: flow control."), slowed},
		{"an unknown code whose message is Chinese", apiError(400, "Biz.Whatever", "账户余额不足"), blocked},
		{"a known code whose message repeats a name", apiError(400, "InvalidInstanceName", "The name Permission Denied Ltd is taken"), rejected},

		{"400 OperationConflict", said(400, "OperationConflict"), ambiguous},
		{"400 LastTokenProcessing", said(400, "LastTokenProcessing"), ambiguous},
		{"400 Gateway.Timeout", said(400, "Gateway.Timeout"), ambiguous},
		{"503 ServiceUnavailable", said(503, "ServiceUnavailable"), ambiguous},
		{"500 InternalError", said(500, "InternalError"), ambiguous},
		{"500 UnknownError", said(500, "UnknownError"), ambiguous},
		{"500 InvalidParameter", said(500, "InvalidParameter"), ambiguous},
		{"500 with an unknown code", said(500, "Biz.Whatever"), ambiguous},
		{"502 without a code", said(502, ""), ambiguous},
		{"503 without a code", said(503, ""), ambiguous},
		{"504 without a code", said(504, ""), ambiguous},

		{"302 without a code", said(302, ""), ambiguous},
		{"307 InvalidParameter", said(307, "InvalidParameter"), ambiguous},
		{"401 without a code", said(401, ""), blocked},
		{"403 without a code", said(403, ""), blocked},
		{"404 without a code", said(404, ""), blocked},
		{"407 without a code", said(407, ""), blocked},
		{"408 without a code", said(408, ""), ambiguous},
		{"409 without a code", said(409, ""), ambiguous},
		{"499 without a code", said(499, ""), ambiguous},

		{"no answer", &cams.Error{Sent: true, Err: errors.New("EOF")}, ambiguous},
		{"not sent", &cams.Error{Err: errors.New("connection refused")}, Verdict{Outcome: tasks.OutcomeUnsent}},
		{"not sent, wrapped", fmt.Errorf("calling: %w", &cams.Error{Err: errors.New("no such host")}), Verdict{Outcome: tasks.OutcomeUnsent}},
		{"no credentials", &cams.Error{Err: fmt.Errorf("%w: none", cams.ErrCredentials)}, stale},
		{"an error that no call made", errors.New("nil map"), ambiguous},
		{"an end of time that no call noticed", context.DeadlineExceeded, ambiguous},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Of(tt.err)
			got.Kind = tt.want.Kind
			if got != tt.want {
				t.Errorf("Of(%v) = %+v, want %+v", tt.err, got, tt.want)
			}
		})
	}
}

// sample is a code that the pattern is meant for, and no other may take.
func sample(pattern string) string {
	text := strings.TrimSuffix(pattern, "$")
	switch text[0] {
	case '^':
		text = strings.ToUpper(text[1:2]) + text[2:]
	case '|':
		text = "X." + strings.ToUpper(text[1:2]) + text[2:]
	default:
		text = "X." + text
	}
	if text == strings.TrimSuffix(text, "$") && pattern == strings.TrimSuffix(pattern, "$") {
		text += ".X"
	}
	return text
}

func TestNoPatternIsHiddenByAnEarlierOne(t *testing.T) {
	for i, g := range groups {
		for _, pattern := range g.patterns {
			code := sample(pattern)
			if !fold(code).has(pattern) {
				t.Errorf("%q is no sample of %q", code, pattern)
			}
			if got := find(groups, code); got != &groups[i] && got.kind != g.kind {
				t.Errorf("%q never counts: %q is taken by %q before", pattern, code, got.patterns)
			}
		}
	}
}

// everyAnswer calls f with every status and every kind of code.
func everyAnswer(f func(e cams.Error, named bool)) {
	for status := range 1000 {
		f(cams.Error{Sent: true, Status: status}, false)
		f(cams.Error{Sent: true, Status: status, Code: "No.Such.Code"}, false)
		for _, g := range groups {
			f(cams.Error{Sent: true, Status: status, Code: sample(g.patterns[0])}, true)
		}
	}
}

func TestOnlyARefusalByTheGatewayOrAKnownOneByTheProductLeadsAnywhereButToALook(t *testing.T) {
	throttling := map[string]bool{"Throttling": true, "Throttling.User": true, "Throttling.Api": true}
	everyAnswer(func(e cams.Error, named bool) {
		o := Of(&e).Outcome
		var may bool
		switch {
		case e.Status >= 400 && e.Status < 500:
			may = true
		case o == tasks.OutcomeThrottled:
			may = e.Status >= 500 && throttling[e.Code]
		default:
			may = e.Status == http.StatusOK && named
		}
		switch o {
		case tasks.OutcomeAmbiguous:
		case tasks.OutcomeRejected, tasks.OutcomeBlocked, tasks.OutcomeThrottled:
			if !may {
				t.Errorf("HTTP %d %q is %s; nothing proves that it made no instance", e.Status, e.Code, o)
			}
		case tasks.OutcomeSucceeded, tasks.OutcomeUnsent:
			t.Errorf("HTTP %d %q is %s, and it was sent and has no instance", e.Status, e.Code, o)
		}
	})
}

func TestAnAnswerThatContradictsItselfIsAmbiguous(t *testing.T) {
	everyAnswer(func(e cams.Error, _ bool) {
		e.InstanceID = "4040404"
		if got := Of(&e).Outcome; got != tasks.OutcomeAmbiguous {
			t.Errorf("HTTP %d %q with an instance is %s", e.Status, e.Code, got)
		}
		e.InstanceID = ""
		for _, e.Code = range []string{"OK", "200"} {
			if got := Of(&e).Outcome; got != tasks.OutcomeAmbiguous {
				t.Errorf("HTTP %d %q without an instance is %s", e.Status, e.Code, got)
			}
		}
	})
}

func TestWhatWasNotSentIsUnsentWhateverElseItSays(t *testing.T) {
	everyAnswer(func(e cams.Error, _ bool) {
		e.Sent = false
		if got := Of(&e).Outcome; got != tasks.OutcomeUnsent {
			t.Errorf("an unsent call with HTTP %d %q is %s", e.Status, e.Code, got)
		}
	})
}

func TestEveryReplyOfTheFakeCloudIsUnderstood(t *testing.T) {
	want := map[camstest.Reply]tasks.Outcome{
		camstest.ReplyOK:        tasks.OutcomeSucceeded,
		camstest.ReplyThrottled: tasks.OutcomeThrottled,
		camstest.ReplyForbidden: tasks.OutcomeBlocked,
		camstest.ReplyXML:       tasks.OutcomeRejected,
		camstest.ReplyRejected:  tasks.OutcomeRejected,
		camstest.ReplyPage:      tasks.OutcomeBlocked,
		camstest.ReplyEndless:   tasks.OutcomeSucceeded, // of lists only
	}
	synctest.Test(t, func(t *testing.T) {
		cloud := camstest.New(camstest.Config{})
		defer cloud.Close()
		api, err := cams.New(cloud.ClientConfig(""))
		if err != nil {
			t.Fatal(err)
		}
		defer api.CloseIdleConnections()
		for _, reply := range camstest.Replies() {
			cloud.Next("CreateInstance", camstest.Fault{Reply: reply, Status: 400, Code: "Biz.Whatever"})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			_, err := api.CreateInstance(ctx, cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: reply.String()})
			cancel()
			if got := Of(err).Outcome; got != want[reply] {
				t.Errorf("reply %s: %v is %s, want %s", reply, err, got, want[reply])
			}
		}
		if v := cloud.Violations(); len(v) > 0 {
			t.Errorf("violations: %q", v)
		}
	})
}
