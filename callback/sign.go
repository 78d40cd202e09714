package callback

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a webhook.
const (
	HeaderID        = "Webhook-Id"        // the same on every try: the receiver's key to drop repeats by
	HeaderTimestamp = "Webhook-Timestamp" // of this try, in Unix seconds
	HeaderSignature = "Webhook-Signature" // one or more, separated by spaces
)

const (
	versionHMAC    = "v1"
	versionEd25519 = "v1a"

	maxIDBytes = 256
)

// Sign returns the three headers of one try at the time at. Every key signs.
// It refuses an ID that [Verify] would not accept, and keys that cannot sign.
func Sign(id string, at time.Time, body []byte, keys Keyring) (http.Header, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("callback: signing: %w", err)
	}
	if !keys.CanSign() {
		return nil, errors.New("callback: signing: every key must be a whsec_ or whsk_ key, and there must be one")
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	content := signedContent(id, timestamp, body)
	signatures := make([]string, 0, keys.Len())
	for _, k := range keys.all() {
		signatures = append(signatures, k.sign(content))
	}
	return http.Header{
		HeaderID:        {id},
		HeaderTimestamp: {timestamp},
		HeaderSignature: {strings.Join(signatures, " ")},
	}, nil
}

func (k key) sign(content []byte) string {
	if k.secret != nil {
		return versionHMAC + "," + base64.StdEncoding.EncodeToString(k.mac(content))
	}
	return versionEd25519 + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, content))
}

func (k key) mac(content []byte) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write(content)
	return mac.Sum(nil)
}

func signedContent(id, timestamp string, body []byte) []byte {
	content := make([]byte, 0, len(id)+len(timestamp)+len(body)+2)
	content = append(content, id...)
	content = append(content, '.')
	content = append(content, timestamp...)
	content = append(content, '.')
	return append(content, body...)
}

// checkID refuses a dot, which would let another split of the same signed bytes
// pass as another webhook, and what cannot stand in a header.
func checkID(id string) error {
	if id == "" || len(id) > maxIDBytes {
		return fmt.Errorf("the webhook-id has %d bytes, want 1 to %d", len(id), maxIDBytes)
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return fmt.Errorf("the webhook-id has a character %q, which is not allowed there", c)
		}
	}
	return nil
}
