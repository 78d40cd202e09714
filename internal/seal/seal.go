// Package seal keeps a job's request unreadable in Redis.
//
// It promises that what it seals can be read, and changed, only with one of the
// keys of its [Keyring], and that sealing the same bytes in the same place with
// the same key gives the same bytes, so that equal requests can be compared
// without being opened. It refuses to open what another place's bytes were
// sealed for, and it never puts a key or a plain text into an error.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
)

const (
	version   = 1
	keySize   = 32
	idSize    = 4
	nonceSize = 12
	overhead  = 1 + idSize + nonceSize
)

// ErrBroken means that sealed bytes were cut, changed, or belong elsewhere.
var ErrBroken = errors.New("seal: the sealed data is damaged or belongs to another job")

// UnknownKeyError means that bytes were sealed with a key that is not in the ring.
type UnknownKeyError struct {
	// ID is the fingerprint of the missing key, as [Keyring.IDs] prints it.
	ID string
}

func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("seal: sealed with data key %s, which is not among the keys given", e.ID)
}

// Keyring holds the data keys: the first seals, every one opens. The zero value
// holds none, and neither seals nor opens.
type Keyring struct {
	keys []key
}

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
	// macs holds a hash.Hash for each Seal under way, keyed for nonces.
	macs *sync.Pool
}

// ParseKeys reads one or more keys, each the base64 form of 32 bytes, with white
// space between them. Its errors never repeat what was given.
func ParseKeys(s string) (Keyring, error) {
	var ring Keyring
	for i, word := range strings.Fields(s) {
		raw, err := base64.StdEncoding.DecodeString(word)
		if err != nil || len(raw) != keySize {
			return Keyring{}, fmt.Errorf("seal: data key %d is not the base64 form of %d bytes", i+1, keySize)
		}
		k, err := newKey(raw)
		if err != nil {
			return Keyring{}, err
		}
		ring.keys = append(ring.keys, k)
	}
	if len(ring.keys) == 0 {
		return Keyring{}, errors.New("seal: no data key was given")
	}
	return ring, nil
}

// NewKey makes a key in the form that [ParseKeys] reads.
func NewKey() string {
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(raw)
}

func newKey(raw []byte) (key, error) {
	var k key
	derive := func(use string, n int) []byte {
		b, err := hkdf.Key(sha256.New, raw, nil, "camsq "+use, n)
		if err != nil { // only for lengths that are not used here
			panic(err)
		}
		return b
	}
	copy(k.id[:], derive("key id", idSize))
	nonce := derive("nonce", keySize)
	k.macs = &sync.Pool{New: func() any { return hmac.New(sha256.New, nonce) }}
	block, err := aes.NewCipher(derive("encryption", keySize))
	if err != nil {
		return key{}, fmt.Errorf("seal: making the cipher: %w", err)
	}
	k.aead, err = cipher.NewGCM(block)
	if err != nil {
		return key{}, fmt.Errorf("seal: making the cipher: %w", err)
	}
	return k, nil
}

// Zero says whether the ring holds no key.
func (r Keyring) Zero() bool { return len(r.keys) == 0 }

// IDs returns the fingerprints of the keys, the sealing one first. They tell
// nothing of the keys.
func (r Keyring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = hex.EncodeToString(k.id[:])
	}
	return ids
}

// String keeps the keys out of logs.
func (r Keyring) String() string { return "seal.Keyring(" + strings.Join(r.IDs(), " ") + ")" }

// GoString keeps the keys out of %#v.
func (r Keyring) GoString() string { return r.String() }

// Seal encrypts and authenticates plain for a place, with AES-256-GCM. The nonce
// is a keyed digest of the place and the plain text, so equal input gives equal
// output and two different inputs practically never share a nonce.
func (r Keyring) Seal(plain []byte, place string) ([]byte, error) {
	if r.Zero() {
		return nil, errors.New("seal: no data key")
	}
	k := r.keys[0]
	out := make([]byte, 0, max(overhead+len(plain)+k.aead.Overhead(), sha256.Size))
	nonce := k.nonce(out, plain, place)
	out = append(out, version)
	out = append(out, k.id[:]...)
	out = append(out, nonce[:]...)
	return k.aead.Seal(out, out[1+idSize:overhead], plain, []byte(place)), nil
}

// nonce is the keyed digest. It uses the room of buf.
func (k key) nonce(buf, plain []byte, place string) [nonceSize]byte {
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(append(append(strconv.AppendInt(buf, int64(len(place)), 10), ':'), place...))
	mac.Write(plain)
	return [nonceSize]byte(mac.Sum(buf)[:nonceSize])
}

// Open returns what was sealed for the place. Its errors are [ErrBroken] and
// [*UnknownKeyError].
func (r Keyring) Open(sealed []byte, place string) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, ErrBroken
	}
	id := [idSize]byte(sealed[1 : 1+idSize])
	for _, k := range r.keys {
		if k.id != id {
			continue
		}
		plain, err := k.aead.Open(nil, sealed[1+idSize:overhead], sealed[overhead:], []byte(place))
		if err != nil {
			return nil, ErrBroken
		}
		return plain, nil
	}
	return nil, &UnknownKeyError{ID: hex.EncodeToString(id[:])}
}
