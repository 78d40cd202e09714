package camstest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/camsq/camsq/cams"
)

// The vendor's pages give 15 minutes for the date, and reports up to 31 for the nonce.
const (
	dateWindow  = 15 * time.Minute
	nonceWindow = 31 * time.Minute
)

var credential = regexp.MustCompile(`^ACS3-HMAC-SHA256 Credential=([^,]+),`)

// admit checks all that the gateway checks before the operation, and completes the
// call. It returns the refusal, if it is one.
func (s *Server) admit(r *http.Request, c *call) *reply {
	no := s.examine(r, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if no == nil {
		no = s.nonces.use(r.Header.Get("x-acs-signature-nonce"), s.config.Clock())
	}
	if no == nil {
		return nil
	}
	if no.violation {
		s.violations = append(s.violations, r.Method+" "+c.op+": "+no.code+": "+no.message)
	}
	out := s.refuse(no.status, no.code, no.message)
	return &out
}

// denial is why a request is not admitted. A violation is what no client should send.
type denial struct {
	status        int
	code, message string
	violation     bool
}

func deny(status int, code, message string) *denial {
	return &denial{status, code, message, false}
}

func violate(status int, code, message string) *denial {
	return &denial{status, code, message, true}
}

// examine checks what can be checked without knowing other requests.
func (s *Server) examine(r *http.Request, c *call) *denial {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	hash := sha256.Sum256(body)

	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := r.Header[name]; ok {
			return violate(400, "UnsupportedHeader", name+" makes net/http repeat the request.")
		}
	}
	switch {
	case r.Method != http.MethodPost:
		return violate(405, "UnsupportedHTTPMethod", "Want POST: net/http repeats a GET.")
	case r.URL.Path != "/":
		return violate(404, "InvalidApi.NotFound", "Want the path /.")
	case r.Header.Get("x-acs-version") != cams.Version:
		return violate(400, "InvalidVersion", "Specified parameter Version is not valid.")
	case err != nil || r.Header.Get("x-acs-content-sha256") != hex.EncodeToString(hash[:]):
		return violate(400, "IncompleteSignature", "x-acs-content-sha256 is not the hash of the body.")
	}

	match := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if match == nil {
		return violate(400, "IncompleteSignature", "The Authorization header is missing or not ACS3-HMAC-SHA256.")
	}
	key := match[1]
	secret, ok := s.config.Keys[key]
	if !ok {
		return deny(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	}
	token := r.Header.Get("x-acs-security-token")
	switch want := s.config.Tokens[key]; {
	case token == "" && want != "":
		return deny(400, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
	case token != want:
		return deny(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
	}

	date, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("x-acs-date"))
	if err != nil {
		return violate(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
	}
	if c.arrived.Sub(date).Abs() > dateWindow {
		return deny(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	}
	want := cams.Authorization(r, cams.Credentials{AccessKeyID: key, AccessKeySecret: secret})
	if r.Header.Get("Authorization") != want {
		// As the real gateway does, repeat what came: a client must not log it as it is.
		return violate(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation. The query was: "+r.URL.RawQuery+" token: "+token)
	}
	c.account = key
	if c.params, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return violate(400, "InvalidParameter", "The query is not well formed.")
	}
	return nil
}

// nonces remembers the nonces that were used, in two ages: when the younger one has
// lasted for a nonce's time, nothing in the older one matters any more.
type nonces struct {
	young, old map[string]time.Time
	born       time.Time // of the younger age
}

func (n *nonces) use(nonce string, now time.Time) *denial {
	if nonce == "" {
		return violate(400, "MissingParameter", "x-acs-signature-nonce is mandatory.")
	}
	if n.young == nil || now.Sub(n.born) >= nonceWindow {
		n.young, n.old, n.born = map[string]time.Time{}, n.young, now
	}
	for _, age := range []map[string]time.Time{n.young, n.old} {
		if used, ok := age[nonce]; ok && now.Sub(used) < nonceWindow {
			return violate(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
		}
	}
	n.young[nonce] = now
	return nil
}
