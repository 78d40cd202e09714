package classify

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// documented is a code of the vendor's documentation: see testdata/codes.tsv.
type documented struct {
	code   string
	status int
	class  string
}

func documentedCodes(t *testing.T) (all []documented) {
	t.Helper()
	f, err := os.Open("testdata/codes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		status, err := strconv.Atoi(cells[1])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, documented{cells[0], status, cells[2]})
	}
	return all
}

// holds says whether a verdict is right for a class of the table: flow slows the account
// and ends no job; busy may have begun, so the job is looked up; account waits for a probe.
func holds(class string, v Verdict) bool {
	switch class {
	case "flow":
		return v.Kind == KindFlow && v.Throttled && (v.Outcome == tasks.OutcomeThrottled || v.Outcome == tasks.OutcomeAmbiguous)
	case "busy":
		return v.Kind == KindBusy && v.Outcome == tasks.OutcomeAmbiguous && !v.Throttled
	case "account":
		return (v.Kind == KindAccount || v.Kind == KindCredentials) && v.Outcome == tasks.OutcomeBlocked
	case "request":
		return v.Kind == KindRequest && v.Outcome == tasks.OutcomeRejected
	case "unknown":
		return v.Kind == KindUnknown && v.Outcome == tasks.OutcomeAmbiguous
	}
	return false
}

// The codes that the vendor documents for this product, for its siblings and for others,
// and those that its tools wait out.
func TestCodesOfTheVendor(t *testing.T) {
	kinds := map[string]int{}
	for _, d := range documentedCodes(t) {
		v := Of(&cams.Error{Sent: true, Status: d.status, Code: d.code})
		if !holds(d.class, v) {
			t.Errorf("%d %s is %+v, want %s", d.status, d.code, v, d.class)
		}
		kinds[d.class]++
		t.Logf("%-8s %-9v %d %s", d.class, v.Outcome, d.status, d.code)
	}
	t.Logf("kinds: %v", kinds)
	if kinds["flow"] == 0 || kinds["busy"] == 0 || kinds["account"] == 0 {
		t.Errorf("the table has kinds %v, want flow, busy and account", kinds)
	}
}

// How a code is spelled says nothing: its case, and what stands between its words.
func TestCodesAreComparedByTheirWords(t *testing.T) {
	for _, d := range documentedCodes(t) {
		words := strings.FieldsFunc(d.code, func(r rune) bool { return strings.ContainsRune("._-", r) })
		for _, code := range []string{
			strings.Join(words, "."), strings.Join(words, "_"), strings.Join(words, "-"),
			strings.ToUpper(strings.Join(words, "_")), strings.ToLower(strings.Join(words, ".")),
			"isv." + d.code, "cams." + d.code,
		} {
			if v := Of(&cams.Error{Sent: true, Status: d.status, Code: code}); !holds(d.class, v) {
				t.Errorf("%d %s is %+v, and %s is %s", d.status, code, v, d.code, d.class)
			}
		}
	}
}

// Codes that no table names: the words decide.
func TestCodesThatNoTableNames(t *testing.T) {
	for class, codes := range map[string][]string{
		"flow": {
			"System.FlowControl", "isv.FLOW_CONTROL", "ApiRateLimitExceeded", "RateLimit.Exceeded", "Request.TooFrequent", "TOO_MANY_REQUESTS",
			"RequestLimitExceeded", "CallLimit.PerSecond", "UserQpsLimit", "Qps.Limit.Exceeded", "isp.LIMIT_CONTROL", "QuotaExceeded.PerMinute", "FrequencyLimit",
			"SlowDown", "TrafficControl.User", "CallTooFast", "Concurrency.Limit.Exceeded",
		},
		"busy": {
			"System.Busy.Retry", "SERVER_BUSY", "InternalServiceError", "isp.SYSTEM_ERROR", "Service.Internal.Exception", "InstanceLocked", "Resource.Lock.Failed",
			"Instance.OperationConflict", "Order.Processing", "isp.GATEWAY_TIMEOUT", "Backend.TryAgainLater", "ServiceTemporarilyDown", "RpcInvokeFailed",
			"SystemMaintenance", "InvalidStatus.Conflict", "InvalidTask.Concurrent", "Task.InProgress",
		},
		"account": {
			"Account.Arrears", "UserInArrears", "User.InDebt", "ACCOUNT_OVERDUE", "isv.OUT_OF_SERVICE", "Product.NotSubscribed", "PRODUCT_NOT_OPEN",
			"Service.NotActivated", "Account.Frozen", "AccountLocked", "User.Disabled", "RAM_NO_PERMISSION", "No_Authority.NotAuthorized", "Access.Denied", "PolicyDenied",
			"RiskControl.Reject", "InsufficientAccountBalance", "Payment.Required", "isv.DAILY_LIMIT", "MonthLimitExceeded", "InstanceQuota.Exceeded", "QuotaExceeded.Instance",
			"TooManyInstances", "Instance.LimitExceeded.InstanceLimit", "RealNameAuthenticationError", "Ip.Blacklist", "InvalidAccountStatus", "InvalidPayment.Method", "isv.DENY_IP_RANGE",
		},
		"request": {
			"InvalidParameter.Balance", "InvalidParameters.ContactMail", "MissingParameter.Lock", "InvalidInstanceName", "Invalid.ContactMail.Malformed", "MissingContactMail",
			"isv.INVALID_PARAMETERS", "UnsupportedParameter.X", "CountryNotSupported", "ResourceGroupNotExist", "ParamIllegal.CountryId",
		},
		"unknown": {"Biz.Whatever", "E1001", "Chatapp.Nope", "InstanceName.Duplicate", "OperationDenied", "FacebookBm.NotVerifiable", "X"},
	} {
		for _, code := range codes {
			if v := Of(&cams.Error{Sent: true, Status: 400, Code: code}); !holds(class, v) {
				g := find(groups, code)
				t.Errorf("400 %s is %+v, want %s (%v)", code, v, class, g)
			}
		}
	}
}

// No code ends a job by its HTTP status alone, and none but those of the request ends it
// at the first answer.
func TestCodesThatAreUnknownNeverEndAJob(t *testing.T) {
	for status := range 600 {
		for _, code := range []string{"", "Biz.Whatever", "E1001"} {
			if v := Of(&cams.Error{Sent: true, Status: status, Code: code}); v.Outcome == tasks.OutcomeRejected || v.Outcome == tasks.OutcomeSucceeded {
				t.Errorf("HTTP %d %q is %s", status, code, v.Outcome)
			}
		}
	}
}

func TestKindsOfWhatIsNoAnswer(t *testing.T) {
	for status, want := range map[int]tasks.Outcome{
		302: tasks.OutcomeAmbiguous, 400: tasks.OutcomeBlocked, 401: tasks.OutcomeBlocked, 403: tasks.OutcomeBlocked, 404: tasks.OutcomeBlocked,
		405: tasks.OutcomeBlocked, 407: tasks.OutcomeBlocked, 408: tasks.OutcomeAmbiguous, 409: tasks.OutcomeAmbiguous, 413: tasks.OutcomeBlocked,
		451: tasks.OutcomeBlocked, 499: tasks.OutcomeAmbiguous, 500: tasks.OutcomeAmbiguous, 502: tasks.OutcomeAmbiguous, 503: tasks.OutcomeAmbiguous, 504: tasks.OutcomeAmbiguous,
	} {
		err := &cams.Error{Sent: true, Status: status}
		if v := Of(err); v.Kind != KindForeign || v.Outcome != want || !v.Away(err) {
			t.Errorf("a page with HTTP %d is %+v (away: %t), want %s", status, v, v.Away(err), want)
		}
	}
	if got := slices.Collect(func(yield func(Kind) bool) {
		for _, err := range []error{nil, &cams.Error{}, &cams.Error{Sent: true}, &cams.Error{Sent: true, Status: 200, Code: "OK"}} {
			if !yield(Of(err).Kind) {
				return
			}
		}
	}); !slices.Equal(got, []Kind{KindOK, KindUnsent, KindSilent, KindUnknown}) {
		t.Errorf("kinds: %v", got)
	}
}
