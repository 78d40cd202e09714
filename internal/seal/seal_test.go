package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func ring(t *testing.T, keys ...string) Keyring {
	t.Helper()
	r, err := ParseKeys(strings.Join(keys, " "))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsSealedOpensOnlyInItsPlaceAndWithItsKey(t *testing.T) {
	oldKey, newKey := NewKey(), NewKey()
	sealed, err := ring(t, oldKey).Seal([]byte("a@example.com"), "default/1")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("example")) {
		t.Fatalf("sealed bytes show the plain text: %q", sealed)
	}
	rotated := ring(t, newKey, oldKey)
	if got, err := rotated.Open(sealed, "default/1"); err != nil || string(got) != "a@example.com" {
		t.Errorf("after rotation Open = %q, %v", got, err)
	}
	if _, err := rotated.Open(sealed, "default/2"); !errors.Is(err, ErrBroken) {
		t.Errorf("another place's bytes opened: err = %v", err)
	}
	_, err = ring(t, newKey).Open(sealed, "default/1")
	if unknown, ok := errors.AsType[*UnknownKeyError](err); !ok || unknown.ID != ring(t, oldKey).IDs()[0] {
		t.Errorf("without the old key: err = %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := rotated.Open(changed, "default/1"); err == nil {
			t.Errorf("byte %d changed and nobody noticed", i)
		}
		if _, err := rotated.Open(sealed[:i], "default/1"); err == nil {
			t.Errorf("cut to %d bytes and nobody noticed", i)
		}
	}
}

func TestEqualRequestsSealToEqualBytes(t *testing.T) {
	r := ring(t, NewKey())
	a, _ := r.Seal([]byte("same"), "p")
	b, _ := r.Seal([]byte("same"), "p")
	c, _ := r.Seal([]byte("other"), "p")
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Errorf("equal %v, different %v", bytes.Equal(a, b), !bytes.Equal(a, c))
	}
}

func TestKeysNeverShow(t *testing.T) {
	k := NewKey()
	r := ring(t, k)
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%v %+v %#v %s", r, r, r, r)} {
		if strings.Contains(s, k) || strings.Contains(s, "aead") {
			t.Errorf("a key shows in %q", s)
		}
	}
	for _, bad := range []string{"", "short", k[:20], k + " oops-not-a-key"} {
		_, err := ParseKeys(bad)
		if err == nil || (bad != "" && strings.Contains(err.Error(), bad)) {
			t.Errorf("ParseKeys(%d bytes) = %v", len(bad), err)
		}
	}
	if _, err := (Keyring{}).Seal(nil, ""); err == nil {
		t.Error("a ring without keys sealed")
	}
}
