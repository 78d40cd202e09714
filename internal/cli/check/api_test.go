package check

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redisconn"
)

// explained is what camsq check makes of a list that failed.
func explained(t *testing.T, err error) Result {
	t.Helper()
	k := &checker{Factory: &cmdutil.Factory{}}
	k.explain(config.Account{Name: "default", Endpoint: "cams.example.com"}, err)
	if len(k.results) != 1 {
		t.Fatalf("%v is explained as %+v, want one result", err, k.results)
	}
	return k.results[0]
}

// Each of the vendor's codes is told as what it is: flow control as a warning, what
// passes by itself as an API that is not ready, the account's as what a person must
// mend, and what that is.
func TestCheckTellsTheVendorsCodesAsWhatTheyAre(t *testing.T) {
	table, err := os.ReadFile("../../../internal/classify/testdata/codes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(table)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 3 || strings.HasPrefix(line, "#") {
			continue
		}
		status, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got := explained(t, &cams.Error{Op: "ListInstance", Sent: true, Status: status, Code: f[0], Message: "It says so."})
		want := map[string]Result{
			"flow":    {Check: "api", Level: redisconn.LevelWarn},
			"busy":    {Check: "api", Level: redisconn.LevelFail, code: exit.CodeUnreachable},
			"account": {Check: "api", Level: redisconn.LevelFail, code: exit.CodeUsage},
		}[f[2]]
		if got.Check != want.Check || got.Level != want.Level || got.code != want.code {
			t.Errorf("%s %s, which is %s: told as %+v", f[1], f[0], f[2], got)
		}
		if !strings.Contains(got.Text, f[0]+" It says so.") || got.Do == "" || strings.Contains(got.Do, "page of error codes") {
			t.Errorf("%s %s, which is %s: %q → %q", f[1], f[0], f[2], got.Text, got.Do)
		}
		seen[f[2]]++
	}
	if seen["flow"] == 0 || seen["busy"] == 0 || seen["account"] == 0 {
		t.Errorf("the table has only %v: the search is broken", seen)
	}
}

func TestCheckSaysWhatToDoAboutARefusedAccount(t *testing.T) {
	const (
		subscribe = "activate the service in the vendor's console"
		permit    = "allow it cams:ListInstance and cams:CreateInstance in RAM"
		pay       = "pay, or charge the account"
		endpoint  = "correct CAMSQ_ENDPOINT and CAMSQ_REGION"
		limit     = "raise the limit in the vendor's Quota Center, or wait until it is renewed"
		console   = "look at the account in the vendor's console"
		notices   = "look at the account's notices in the vendor's console"
	)
	for _, tt := range []struct {
		status        int
		code, message string
		do            string
	}{
		{400, "Product.Unsubscript", "", subscribe},
		{400, "isv.PRODUCT_UN_SUBSCRIPT", "", subscribe},
		{403, "ServiceNotOpened", "", subscribe},
		{400, "NeedOpenProduct", "", subscribe},
		{400, "Ram.PermissionDeny", "", permit},
		{400, "isp.RAM_PERMISSION_DENY", "", permit},
		{403, "NoPermission", "You are not authorized to do this operation.", permit},
		{403, "Forbidden.RAM", "", permit},
		{400, "ExplicitDeny", "", permit},
		{200, "isv.AMOUNT_NOT_ENOUGH", "", pay},
		{400, "InvalidAccountStatus.NotEnoughBalance", "", pay},
		{400, "noAvailablePaymentMethod", "", pay},
		{400, "user.indebt", "", pay},
		{400, "isv.DAY_LIMIT_CONTROL", "", limit},
		{403, "Forbidden.RiskControl", "", notices},
		{400, "isv.ACCOUNT_ABNORMAL", "", console},
		{400, "AccountDisabled", "", console},
		{404, "InvalidAction.NotFound", "", endpoint},
		{404, "InvalidProduct.NotFound", "", endpoint},
		{400, "InvalidTimeStamp.Expired", "", "synchronise the clock"},
		{400, "Some.Thing", "Your account has an insufficient balance.", pay},
	} {
		got := explained(t, &cams.Error{Op: "ListInstance", Sent: true, Status: tt.status, Code: tt.code, Message: tt.message})
		if got.Do != tt.do || got.code != exit.CodeUsage || !strings.Contains(got.Text, tt.code) {
			t.Errorf("%s: %q → %q, exit code %d; want → %q and 2", tt.code, got.Text, got.Do, got.code, tt.do)
		}
	}
}

// What is no refusal of the account is told by how far the request came.
func TestCheckTellsHowFarTheRequestCame(t *testing.T) {
	for name, tt := range map[string]struct {
		err  *cams.Error
		want Result
	}{
		"no connection": {&cams.Error{Err: errors.New("dial tcp 127.0.0.1:1: connect: connection refused")},
			Result{Check: "api", Text: "cams.example.com cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused",
				Do: "look at the network, the proxy and CAMSQ_ENDPOINT", code: exit.CodeUnreachable}},
		"no answer": {&cams.Error{Sent: true, Err: errors.New("EOF")},
			Result{Check: "api", Text: "cams.example.com does not answer: EOF", Do: "look at the network, the proxy and CAMSQ_ENDPOINT", code: exit.CodeUnreachable}},
		"no key": {&cams.Error{Err: cams.ErrCredentials}, Result{Check: "credentials", Text: "no credentials", code: exit.CodeUsage}},
		"a wrong key": {&cams.Error{Sent: true, Status: 400, Code: "SignatureDoesNotMatch", Message: "server string to sign is: secret"},
			Result{Check: "api", Text: "the API refuses the key: SignatureDoesNotMatch", Do: "correct the access key ID, its secret and its token", code: exit.CodeUsage}},
		"a refusal of this list": {&cams.Error{Sent: true, Status: 400, Code: "InvalidParameter.PageInvalid", Message: "No."},
			Result{Check: "api", Text: "the API rejected the list call: HTTP 400 InvalidParameter.PageInvalid No.", Do: "see the vendor's page of error codes", code: exit.CodeUsage}},
		"a code that nothing is known of": {&cams.Error{Sent: true, Status: 400, Code: "Elephant.Pink", Message: "Tut."},
			Result{Check: "api", Text: "the API rejected the list call: HTTP 400 Elephant.Pink Tut.", Do: "see the vendor's page of error codes", code: exit.CodeUsage}},
		"a fault with such a code": {&cams.Error{Sent: true, Status: 500, Code: "Elephant.Pink"},
			Result{Check: "api", Text: "cams.example.com answers HTTP 500: Elephant.Pink", Do: "the API is busy or has a fault; check again later", code: exit.CodeUnreachable}},
		"an OK without a list": {&cams.Error{Sent: true, Status: 200, Code: "OK", Err: errors.New("unreadable answer: Data: no list")},
			Result{Check: "api", Text: "cams.example.com answers HTTP 200, and not as CAMS does: unreadable answer: Data: no list", Do: "correct CAMSQ_ENDPOINT, or look at the proxy", code: exit.CodeUsage}},
	} {
		tt.err.Op, tt.want.Account, tt.want.Level = "ListInstance", "default", redisconn.LevelFail
		if got := explained(t, tt.err); got != tt.want {
			t.Errorf("%s: told as\n %+v, want\n %+v", name, got, tt.want)
		}
	}
}
