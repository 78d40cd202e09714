package main

import (
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
)

// explained is what camsq check makes of a list that failed.
func explained(t *testing.T, err error) checkResult {
	t.Helper()
	k := &checkup{program: &program{}}
	k.explain(account{Name: "default", Endpoint: "cams.example.com"}, err)
	if len(k.results) != 1 {
		t.Fatalf("%v is explained as %+v, want one result", err, k.results)
	}
	return k.results[0]
}

// Each of the vendor's codes is told as what it is: flow control as a warning, what
// passes by itself as an API that is not ready, the account's as what a person must
// mend, and what that is.
func TestCheckTellsTheVendorsCodesAsWhatTheyAre(t *testing.T) {
	table, err := os.ReadFile("../../worker/testdata/codes.tsv")
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
		want := map[string]checkResult{
			"flow":    {Check: "api", Level: levelWarn},
			"busy":    {Check: "api", Level: levelFail, code: exitUnreachable},
			"account": {Check: "api", Level: levelFail, code: exitUsage},
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
		if got.Do != tt.do || got.code != exitUsage || !strings.Contains(got.Text, tt.code) {
			t.Errorf("%s: %q → %q, exit code %d; want → %q and 2", tt.code, got.Text, got.Do, got.code, tt.do)
		}
	}
}

// What is no refusal of the account is told by how far the request came.
func TestCheckTellsHowFarTheRequestCame(t *testing.T) {
	for name, tt := range map[string]struct {
		err  *cams.Error
		want checkResult
	}{
		"no connection": {&cams.Error{Err: errors.New("dial tcp 127.0.0.1:1: connect: connection refused")},
			checkResult{Check: "api", Text: "cams.example.com cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused",
				Do: "look at the network, the proxy and CAMSQ_ENDPOINT", code: exitUnreachable}},
		"no answer": {&cams.Error{Sent: true, Err: errors.New("EOF")},
			checkResult{Check: "api", Text: "cams.example.com does not answer: EOF", Do: "look at the network, the proxy and CAMSQ_ENDPOINT", code: exitUnreachable}},
		"no key": {&cams.Error{Err: cams.ErrCredentials}, checkResult{Check: "credentials", Text: "no credentials", code: exitUsage}},
		"a wrong key": {&cams.Error{Sent: true, Status: 400, Code: "SignatureDoesNotMatch", Message: "server string to sign is: secret"},
			checkResult{Check: "api", Text: "the API refuses the key: SignatureDoesNotMatch", Do: "correct the access key ID, its secret and its token", code: exitUsage}},
		"a refusal of this list": {&cams.Error{Sent: true, Status: 400, Code: "InvalidParameter.PageInvalid", Message: "No."},
			checkResult{Check: "api", Text: "the list is refused: HTTP 400 InvalidParameter.PageInvalid No.", Do: "see the vendor's page of error codes", code: exitUsage}},
		"a code that nothing is known of": {&cams.Error{Sent: true, Status: 400, Code: "Elephant.Pink", Message: "Tut."},
			checkResult{Check: "api", Text: "the list is refused: HTTP 400 Elephant.Pink Tut.", Do: "see the vendor's page of error codes", code: exitUsage}},
		"a fault with such a code": {&cams.Error{Sent: true, Status: 500, Code: "Elephant.Pink"},
			checkResult{Check: "api", Text: "cams.example.com answers HTTP 500: Elephant.Pink", Do: "the API is busy or has a fault; check again later", code: exitUnreachable}},
		"an OK without a list": {&cams.Error{Sent: true, Status: 200, Code: "OK", Err: errors.New("unreadable answer: Data: no list")},
			checkResult{Check: "api", Text: "cams.example.com answers HTTP 200, and not as CAMS does: unreadable answer: Data: no list", Do: "correct CAMSQ_ENDPOINT, or look at the proxy", code: exitUsage}},
	} {
		tt.err.Op, tt.want.Account, tt.want.Level = "ListInstance", "default", levelFail
		if got := explained(t, tt.err); got != tt.want {
			t.Errorf("%s: told as\n %+v, want\n %+v", name, got, tt.want)
		}
	}
}

// A web server in the API's place is told as one, whatever its status.
func TestCheckTellsAWebPageFromTheAPI(t *testing.T) {
	for status, want := range map[int]struct {
		code int
		line string
	}{
		http.StatusOK:        {exitUsage, `FAIL  api of default .* answers HTTP 200, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusForbidden: {exitUsage, `FAIL  api of default .* answers HTTP 403, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusNotFound:  {exitUsage, `FAIL  api of default .* answers HTTP 404, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusFound:     {exitUsage, `FAIL  api of default .* answers HTTP 302, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusBadGateway: {exitUnreachable,
			`FAIL  api of default .* answers HTTP 502, and not as CAMS does: .*web page \(HTML\).* → check again later; if it stays so, .*`},
	} {
		addr := serveOn(t, freeAddr(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<!DOCTYPE html>\n<html><body>hello</body></html>"))
		}))
		env := checkEnv(t, "redis://"+miniredis.RunT(t).Addr(), startCloud(t, camstest.Config{}))
		env["CAMSQ_ENDPOINT"] = "http://" + addr
		code, text, _ := runCheck(t, env)
		if code != want.code {
			t.Errorf("HTTP %d: exit code %d, want %d", status, code, want.code)
		}
		wantLines(t, text, want.line)
	}
}
