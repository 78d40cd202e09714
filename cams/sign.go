package cams

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "ACS3-HMAC-SHA256"
	dateLayout = "2006-01-02T15:04:05Z"
	emptyHash  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Authorization returns the Authorization header that the vendor's V3 signature
// (ACS3-HMAC-SHA256) asks of r: a keyed hash over its method, path, query, host,
// content type, x-acs-* headers, and the body hash in x-acs-content-sha256.
// A server that checks a signature computes it again with this function.
//
// It does not read the body and does not judge the date or the nonce.
// The algorithm is at https://www.alibabacloud.com/help/en/doc-detail/2593177.htm.
func Authorization(r *http.Request, c Credentials) string {
	canonical, signed := canonicalRequest(r)
	hash := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(c.AccessKeySecret))
	mac.Write([]byte(algorithm + "\n" + hex.EncodeToString(hash[:])))
	return algorithm + " Credential=" + c.AccessKeyID +
		",SignedHeaders=" + signed +
		",Signature=" + hex.EncodeToString(mac.Sum(nil))
}

// sign completes a request that has an empty body: it sets the headers that the
// signature covers, and the signature. x-acs-action and x-acs-version are there already.
func sign(r *http.Request, c Credentials, now time.Time, nonce string) {
	r.Header.Set("x-acs-date", now.UTC().Format(dateLayout))
	r.Header.Set("x-acs-signature-nonce", nonce)
	r.Header.Set("x-acs-content-sha256", emptyHash)
	if c.SecurityToken != "" {
		r.Header.Set("x-acs-accesskey-id", c.AccessKeyID)
		r.Header.Set("x-acs-security-token", c.SecurityToken)
	}
	r.Header.Set("Authorization", Authorization(r, c))
}

func canonicalRequest(r *http.Request) (canonical, signedHeaders string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	headers := map[string]string{"host": host}
	for name, values := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-acs-") || name == "content-type" {
			// What net/http trims when it sends, and no more: a no-break space stays.
			headers[name] = strings.Trim(strings.Join(values, ","), " \t")
		}
	}
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)

	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + path + "\n" + canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range names {
		b.WriteString(name + ":" + headers[name] + "\n")
	}
	signedHeaders = strings.Join(names, ";")
	b.WriteString("\n" + signedHeaders + "\n" + headers["x-acs-content-sha256"])
	return b.String(), signedHeaders
}

// canonicalQuery is RFC 3986 encoding, sorted by name. Encode differs from it in
// one thing: a space is "+". A plus sign itself is %2B, so each "+" was a space.
func canonicalQuery(v url.Values) string {
	return canonicalSpace(v.Encode())
}

func newNonce() string {
	var b [16]byte
	rand.Read(b[:]) // does not fail: see crypto/rand
	return hex.EncodeToString(b[:])
}

func canonicalSpace(encoded string) string { return strings.ReplaceAll(encoded, "+", "%20") }
