package callback

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/camsq/camsq/tasks"
)

// Tolerance is how far a webhook's timestamp may be from the receiver's clock,
// both ways. It bounds how long a captured webhook can be replayed.
const Tolerance = 5 * time.Minute

// MaxBodyBytes is the longest body that [ReadEvent] reads.
const MaxBodyBytes = 1 << 20

// Why a webhook is not accepted.
var (
	// ErrUnsigned: one of the three headers is missing.
	ErrUnsigned = errors.New("callback: the webhook is not signed")
	// ErrBadSignature: none of the keys made any of the signatures.
	ErrBadSignature = errors.New("callback: the webhook's signature is wrong")
	// ErrStale: the signature is good, the timestamp is outside [Tolerance]. The
	// webhook is replayed, or one of the two clocks is wrong.
	ErrStale = errors.New("callback: the webhook's timestamp is too far from now")
	// ErrTooLarge: the body is longer than [MaxBodyBytes].
	ErrTooLarge = errors.New("callback: the webhook's body is too large")
)

// Event is the body of a webhook.
type Event = tasks.Event

// Verify accepts the webhook if one of the keys signed exactly this body within
// [Tolerance] of now. The body is the bytes as they came: JSON that was parsed
// and written again does not verify. The error wraps ErrUnsigned,
// ErrBadSignature or ErrStale.
func Verify(header http.Header, body []byte, now time.Time, keys Keyring) error {
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if header.Get(name) == "" {
			return fmt.Errorf("%w: it has no header %s", ErrUnsigned, name)
		}
	}
	id, timestamp, signatures := header.Get(HeaderID), header.Get(HeaderTimestamp), header.Get(HeaderSignature)
	if err := checkID(id); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: its timestamp is not a number of seconds", ErrBadSignature)
	}
	if !keys.verify(signedContent(id, timestamp, body), signatures) {
		return fmt.Errorf("%w: none of %d keys made it", ErrBadSignature, keys.Len())
	}
	// After the signature, so that ErrStale is only ever said of a genuine webhook.
	at := time.Unix(seconds, 0)
	if at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return fmt.Errorf("%w: the tolerance is %s", ErrStale, Tolerance)
	}
	return nil
}

// verify tries every key on every signature of its kind.
func (k Keyring) verify(content []byte, signatures string) bool {
	words := strings.SplitN(signatures, " ", maxKeys+1)
	for _, word := range words[:min(len(words), maxKeys)] {
		version, text, _ := strings.Cut(word, ",")
		signature, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			continue
		}
		for _, key := range k.all() {
			switch {
			case version == versionHMAC && key.secret != nil && hmac.Equal(signature, key.mac(content)),
				version == versionEd25519 && key.public != nil && ed25519.Verify(key.public, content, signature):
				return true
			}
		}
	}
	return false
}

// ReadEvent reads a webhook from a request that came in, verifies it and decodes
// it. The ID is the same each time that the webhook is delivered: do the work
// once per ID, then answer 2xx. Any other answer but 410 makes the sender try
// again. The error wraps one of this package's Err values, or reports a body
// that could not be read or is signed but no event.
func ReadEvent(r *http.Request, now time.Time, keys Keyring) (id string, event Event, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBodyBytes+1))
	if err != nil {
		return "", Event{}, fmt.Errorf("callback: reading the webhook's body: %w", err)
	}
	if len(body) > MaxBodyBytes {
		return "", Event{}, fmt.Errorf("%w: at most %d bytes are read", ErrTooLarge, MaxBodyBytes)
	}
	if err := Verify(r.Header, body, now, keys); err != nil {
		return "", Event{}, err
	}
	if event, err = tasks.DecodeEvent(body); err != nil {
		return "", Event{}, fmt.Errorf("callback: reading the webhook: %w", err)
	}
	return r.Header.Get(HeaderID), event, nil
}
