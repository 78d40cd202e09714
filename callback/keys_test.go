package callback_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/camsq/camsq/callback"
)

// Published keys: the scheme's own example and the test vectors of Svix, its author.
const (
	exampleSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	examplePrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	exampleSeed    = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
	examplePublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

func mustParse(t testing.TB, secrets ...string) callback.Keyring {
	t.Helper()
	keys, err := callback.ParseSecrets(strings.Join(secrets, " "))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func whsec(n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n))
}

func TestParseSecretsTakesEveryKindOfKey(t *testing.T) {
	cases := []struct {
		name, secrets string
		len           int
		canSign       bool
	}{
		{"shared", exampleSecret, 1, true},
		{"shared, shortest", whsec(24), 1, true},
		{"shared, longest", whsec(64), 1, true},
		{"private", examplePrivate, 1, true},
		{"private, as a seed", exampleSeed, 1, true},
		{"public", examplePublic, 1, false},
		{"several, for rotation", " " + exampleSecret + "\t" + whsec(24) + "\n" + examplePrivate + " ", 3, true},
		{"one that cannot sign among others", exampleSecret + " " + examplePublic, 2, false},
		{"new", callback.NewSecret() + " " + callback.NewSecret(), 2, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			keys := mustParse(t, c.secrets)
			if keys.Len() != c.len || keys.CanSign() != c.canSign {
				t.Errorf("Len, CanSign = %d, %v, want %d, %v", keys.Len(), keys.CanSign(), c.len, c.canSign)
			}
		})
	}
}

func TestABadSecretIsNamedByPlaceAndNeverRepeated(t *testing.T) {
	const hidden = "SECRETsecretSECRETsecretSECRETse" // 32 characters, 24 bytes
	cases := []struct{ name, secrets, want string }{
		{"empty", " ", "no webhook secret is given"},
		{"no prefix", hidden, "secret 1 of 1: it does not begin with"},
		{"unknown prefix", "whxx_" + hidden, "secret 1 of 1: it does not begin with"},
		{"not base64", "whsec_" + hidden + "!", "secret 1 of 1: what follows its prefix is not standard base64"},
		{"base64 without padding", "whsec_" + hidden + "AA", "not standard base64 with padding"},
		{"base64 for URLs", "whsec_" + strings.Replace(hidden, "S", "-", 1), "not standard base64"},
		{"shared, too short", whsec(23), "it holds 23 bytes, want 24 to 64"},
		{"shared, too long", whsec(65), "it holds 65 bytes, want 24 to 64"},
		{"the second of two", exampleSecret + " whsec_" + hidden + "!", "secret 2 of 2"},
		{"private, wrong length", "whsk_" + hidden, "it holds 24 bytes, want 32 or 64"},
		{"private, halves of two pairs", "whsk_" + base64.StdEncoding.EncodeToString([]byte(hidden+hidden)), "its second half is not the public key"},
		{"public, wrong length", "whpk_" + hidden, "it holds 24 bytes, want 32"},
		{"twice the same", exampleSecret + " " + whsec(24) + " " + exampleSecret, "secret 3 of 3: it is the same as secret 1"},
		{"twice the same pair", exampleSeed + " " + examplePrivate, "secret 2 of 2: it is the same as secret 1"},
		{"too many", strings.Repeat(exampleSecret+" ", 17), "17 webhook secrets are given, at most 16"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := callback.ParseSecrets(c.secrets)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(err.Error(), "callback: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
			for _, word := range strings.Fields(c.secrets) {
				_, text, _ := strings.Cut(word, "_")
				if strings.Contains(err.Error(), hidden) || len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
					t.Errorf("the error repeats the secret: %q", err)
				}
			}
		})
	}
}

func TestAKeyringNeverPrintsItsKeys(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("correct horse battery staple"))
	keys := mustParse(t, secret, examplePrivate)
	type config struct {
		Public  callback.Keyring
		private callback.Keyring
	}
	held := config{keys, keys}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%o", "%b", "%c", "%U"} {
		for _, value := range []any{keys, &keys, held, &held, []callback.Keyring{keys}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("keys", "keys", keys, "config", held)
	slog.New(slog.NewTextHandler(&out, nil)).Info("keys", "keys", keys, "config", held)
	if err := json.NewEncoder(&out).Encode(held); err != nil {
		t.Fatal(err)
	}
	printed := out.String()
	for _, leak := range []string{
		"correct horse", "636f7272656374", "636F7272656374", "99 111 114 114", secret[6:20], examplePrivate[5:20],
		"e976ff74", "233 118 255 116", fmt.Sprintf("%b", 'c') + " " + fmt.Sprintf("%b", 'o'),
	} {
		if strings.Contains(printed, leak) {
			t.Errorf("printed a key (%q)", leak)
		}
	}
	if want := "REDACTED (2 webhook keys)"; keys.String() != want {
		t.Errorf("String = %q, want %q", keys, want)
	}
}

func TestNewKeysAreNewAndFitTogether(t *testing.T) {
	first, second := callback.NewSecret(), callback.NewSecret()
	if first == second {
		t.Error("two new secrets are the same")
	}
	private, public := callback.NewKeyPair()
	header, err := callback.Sign("msg_1", now, []byte("{}"), mustParse(t, private))
	if err != nil {
		t.Fatal(err)
	}
	if err := callback.Verify(header, []byte("{}"), now, mustParse(t, public)); err != nil {
		t.Error(err)
	}
}
