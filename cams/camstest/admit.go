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

// admit checks all that the gateway checks before the operation. It returns the account,
// or else the refusal.
func (s *Server) admit(r *http.Request) (account string, params url.Values, refusal *reply) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	hash := sha256.Sum256(body)

	s.mu.Lock()
	defer s.mu.Unlock()
	deny := func(status int, code, message string) (string, url.Values, *reply) {
		answer := s.refuse(status, code, message)
		return "", nil, &answer
	}
	violate := func(status int, code, message string) (string, url.Values, *reply) {
		s.violations = append(s.violations, r.Method+" "+r.Header.Get("x-acs-action")+": "+code+": "+message)
		return deny(status, code, message)
	}

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

	now := s.config.Clock()
	date, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("x-acs-date"))
	if err != nil {
		return violate(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
	}
	if now.Sub(date).Abs() > dateWindow {
		return deny(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	}
	want := cams.Authorization(r, cams.Credentials{AccessKeyID: key, AccessKeySecret: secret})
	if r.Header.Get("Authorization") != want {
		// As the real gateway does, repeat what came: a client must not log it as it is.
		return violate(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation. The query was: "+r.URL.RawQuery+" token: "+token)
	}
	params, err = url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return violate(400, "InvalidParameter", "The query is not well formed.")
	}

	nonce := r.Header.Get("x-acs-signature-nonce")
	if nonce == "" {
		return violate(400, "MissingParameter", "x-acs-signature-nonce is mandatory.")
	}
	if used, ok := s.nonces[nonce]; ok && now.Sub(used) < nonceWindow {
		return violate(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	if len(s.nonces) > 1<<16 {
		for old, used := range s.nonces {
			if now.Sub(used) >= nonceWindow {
				delete(s.nonces, old)
			}
		}
	}
	s.nonces[nonce] = now
	return key, params, nil
}
