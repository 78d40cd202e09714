package callback

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// The prefixes of serialized keys and the limits of their sizes, from the
// scheme's table "Secret serialization".
const (
	prefixSecret  = "whsec_" // HMAC-SHA256, shared with the receiver
	prefixPrivate = "whsk_"  // ed25519, the sender's
	prefixPublic  = "whpk_"  // ed25519, the receiver's

	minSecretBytes = 24
	maxSecretBytes = 64

	// maxKeys bounds the work that a header full of signatures can cause.
	maxKeys = 16
)

// Keyring holds the keys that sign or verify webhooks. It prints as a count,
// never as keys. The zero value holds no key: it signs and verifies nothing.
type Keyring struct {
	// A function, since fmt prints what another struct keeps in an unexported
	// field without asking its methods, and follows pointers for some verbs.
	keys func() []key
}

type key struct {
	secret  []byte             // HMAC-SHA256
	private ed25519.PrivateKey // signs
	public  ed25519.PublicKey  // verifies
}

func (k key) canSign() bool { return k.secret != nil || k.private != nil }

func (k key) equal(other key) bool {
	return bytes.Equal(k.secret, other.secret) && bytes.Equal(k.public, other.public)
}

// NewSecret makes a new random secret of 32 bytes, "whsec_…", for both sides.
func NewSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // crypto/rand.Read never returns an error
	return prefixSecret + base64.StdEncoding.EncodeToString(secret)
}

// NewKeyPair makes a new ed25519 pair: "whsk_…" for the sender and "whpk_…" for
// its receivers, who can then verify but not sign.
func NewKeyPair() (private, public string) {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // crypto/rand.Read never returns an error
	pair := ed25519.NewKeyFromSeed(seed)
	return prefixPrivate + base64.StdEncoding.EncodeToString(pair),
		prefixPublic + base64.StdEncoding.EncodeToString(pair[ed25519.SeedSize:])
}

// ParseSecrets reads one or more keys that are separated by white space: whsec_
// (24 to 64 bytes, shared), whsk_ (ed25519 private key: the 32 bytes of the seed,
// with or without the public key after them) or whpk_ (ed25519 public key, to
// verify only), each followed by standard base64. With several keys a sender
// signs with all of them, and a receiver accepts any: that is how a key is
// replaced without losing a webhook. No error repeats any part of a key.
func ParseSecrets(s string) (Keyring, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Keyring{}, errors.New("callback: no webhook secret is given: want whsec_, whsk_ or whpk_ and base64")
	}
	if len(words) > maxKeys {
		return Keyring{}, fmt.Errorf("callback: %d webhook secrets are given, at most %d are allowed", len(words), maxKeys)
	}
	keys := make([]key, 0, len(words))
	for i, word := range words {
		k, err := parseKey(word)
		if err != nil {
			return Keyring{}, fmt.Errorf("callback: webhook secret %d of %d: %w", i+1, len(words), err)
		}
		for j, earlier := range keys {
			if k.equal(earlier) {
				return Keyring{}, fmt.Errorf("callback: webhook secret %d of %d: it is the same as secret %d", i+1, len(words), j+1)
			}
		}
		keys = append(keys, k)
	}
	return Keyring{keys: func() []key { return keys }}, nil
}

func parseKey(word string) (key, error) {
	if text, ok := strings.CutPrefix(word, prefixSecret); ok {
		raw, err := decodeKey(text)
		if err != nil {
			return key{}, err
		}
		if len(raw) < minSecretBytes || len(raw) > maxSecretBytes {
			return key{}, fmt.Errorf("it holds %d bytes, want %d to %d", len(raw), minSecretBytes, maxSecretBytes)
		}
		return key{secret: raw}, nil
	}
	if text, ok := strings.CutPrefix(word, prefixPrivate); ok {
		raw, err := decodeKey(text)
		if err != nil {
			return key{}, err
		}
		if len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
			return key{}, fmt.Errorf("it holds %d bytes, want %d or %d", len(raw), ed25519.SeedSize, ed25519.PrivateKeySize)
		}
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if len(raw) == ed25519.PrivateKeySize && !bytes.Equal(raw, private) {
			return key{}, errors.New("its second half is not the public key of its first half")
		}
		return key{private: private, public: ed25519.PublicKey(private[ed25519.SeedSize:])}, nil
	}
	if text, ok := strings.CutPrefix(word, prefixPublic); ok {
		raw, err := decodeKey(text)
		if err != nil {
			return key{}, err
		}
		if len(raw) != ed25519.PublicKeySize {
			return key{}, fmt.Errorf("it holds %d bytes, want %d", len(raw), ed25519.PublicKeySize)
		}
		return key{public: raw}, nil
	}
	return key{}, errors.New("it does not begin with whsec_, whsk_ or whpk_")
}

func decodeKey(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("what follows its prefix is not standard base64 with padding")
	}
	return raw, nil
}

func (k Keyring) all() []key {
	if k.keys == nil {
		return nil
	}
	return k.keys()
}

// Len is the number of keys.
func (k Keyring) Len() int { return len(k.all()) }

// CanSign says whether there are keys and every one of them can sign.
func (k Keyring) CanSign() bool {
	for _, key := range k.all() {
		if !key.canSign() {
			return false
		}
	}
	return k.Len() > 0
}

// String gives the number of keys and nothing of the keys.
func (k Keyring) String() string { return fmt.Sprintf("REDACTED (%d webhook keys)", k.Len()) }

// GoString is String, so that %#v gives nothing away.
func (k Keyring) GoString() string { return k.String() }

// Format writes String for every verb, since %d and %x call no method.
func (k Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue is String.
func (k Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is String; JSON and YAML encoders use it.
func (k Keyring) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
