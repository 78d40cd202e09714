package oracle

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/camsq/camsq/callback"
)

func theirs(t *testing.T, secret string) *standardwebhooks.Webhook {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return webhook
}

func TestTheGoLibraryAcceptsWhatWeSign(t *testing.T) {
	another := callback.NewSecret()
	private, _ := callback.NewKeyPair()
	for _, s := range draw(t) {
		for _, secrets := range []string{s.secret, another + " " + s.secret, s.secret + " " + private} {
			header, err := callback.Sign(s.id, time.Now(), []byte(s.body), parse(t, secrets))
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs(t, s.secret).Verify([]byte(s.body), header); err != nil {
				t.Errorf("id %s, body %s: %v", s.id, s.body, err)
			}
			if err := theirs(t, callback.NewSecret()).Verify([]byte(s.body), header); err == nil {
				t.Errorf("id %s: the library accepts any key: this test proves nothing", s.id)
			}
		}
	}
}

func TestWeAcceptWhatTheGoLibrarySigns(t *testing.T) {
	now := time.Now()
	for _, s := range draw(t) {
		signature, err := theirs(t, s.secret).Sign(s.id, now, []byte(s.body))
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		header.Set(standardwebhooks.HeaderWebhookID, s.id)
		header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
		header.Set(standardwebhooks.HeaderWebhookSignature, signature)
		if err := callback.Verify(header, []byte(s.body), now, parse(t, s.secret)); err != nil {
			t.Errorf("id %s, body %s: %v", s.id, s.body, err)
		}
		if err := callback.Verify(header, []byte(s.body+" "), now, parse(t, s.secret)); !errors.Is(err, callback.ErrBadSignature) {
			t.Errorf("id %s: another body gives %v", s.id, err)
		}
	}
}

// Both sides draw the line of the tolerance at the same place.
func TestTheGoLibraryAndWeAgreeOnWhatIsStale(t *testing.T) {
	secret := callback.NewSecret()
	for _, age := range []time.Duration{0, 290 * time.Second, 310 * time.Second, -290 * time.Second, -310 * time.Second} {
		header, err := callback.Sign("msg_1", time.Now().Add(-age), []byte("{}"), parse(t, secret))
		if err != nil {
			t.Fatal(err)
		}
		our := callback.Verify(header, []byte("{}"), time.Now(), parse(t, secret))
		their := theirs(t, secret).Verify([]byte("{}"), header)
		if (our == nil) != (their == nil) {
			t.Errorf("age %s: we say %v, the library says %v", age, our, their)
		}
	}
}
