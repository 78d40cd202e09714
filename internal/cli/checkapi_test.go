package cli

import (
	"net/http"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
)

// A web server in the API's place is told as one, whatever its status.
func TestCheckTellsAWebPageFromTheAPI(t *testing.T) {
	for status, want := range map[int]struct {
		code int
		line string
	}{
		http.StatusOK:        {exit.CodeUsage, `FAIL  api of default .* answers HTTP 200, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusForbidden: {exit.CodeUsage, `FAIL  api of default .* answers HTTP 403, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusNotFound:  {exit.CodeUsage, `FAIL  api of default .* answers HTTP 404, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusFound:     {exit.CodeUsage, `FAIL  api of default .* answers HTTP 302, and not as CAMS does: .*web page \(HTML\).* → correct CAMSQ_ENDPOINT, or look at the proxy`},
		http.StatusBadGateway: {exit.CodeUnreachable,
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
