package callbacktest_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/callback/callbacktest"
)

// A test of a program that uses camsq serves a receiver and looks at what came.
func ExampleReceiver() {
	keys, err := callback.ParseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	receiver := &callbacktest.Receiver{Keys: keys, OnEvent: func(d callbacktest.Delivery) {
		fmt.Println(d.ID, d.Event.Type, d.Event.Data.JobID, d.Status)
	}}
	server := httptest.NewServer(receiver) // camsq gets server.URL
	defer server.Close()

	if _, err := post(server.Client(), server.URL, keys, "evt_1", `{"type":"instance.created","timestamp":"2026-03-04T05:06:07Z","data":{"job_id":"acme-1"}}`); err != nil {
		panic(err)
	}
	fmt.Println(receiver.Counts().Distinct)
	// Output:
	// evt_1 instance.created acme-1 204
	// 1
}

// post sends a signed webhook and returns the answer's status.
func post(c *http.Client, url string, keys callback.Keyring, id, body string) (int, error) {
	header, err := callback.Sign(id, time.Now(), []byte(body), keys)
	if err != nil {
		return 0, err
	}
	q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	maps.Copy(q.Header, header)
	resp, err := c.Do(q)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	keys, err := callback.ParseSecrets(callback.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	var refused []error
	counted := 0
	r := &callbacktest.Receiver{
		Keys:      keys,
		Fail:      func(id string, _ callback.Event) bool { return id == "evt_2" },
		OnRefused: func(err error) { refused = append(refused, err) },
	}
	r.OnEvent = func(callbacktest.Delivery) {
		if r.Counts().Verified != counted {
			t.Error("a webhook is counted before OnEvent has returned")
		}
		counted++
	}
	server := httptest.NewServer(r)
	defer server.Close()
	other, err := callback.ParseSecrets(callback.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	const (
		created = `{"type":"instance.created","timestamp":"2026-03-04T05:06:07Z"}`
		failed  = `{"type":"instance.failed","timestamp":"2026-03-04T05:06:07Z"}`
	)
	for _, tt := range []struct {
		name     string
		keys     callback.Keyring
		id, body string
		want     int
	}{
		{"genuine", keys, "evt_1", created, 204},
		{"the same again", keys, "evt_1", created, 204},
		{"another body under its ID", keys, "evt_1", failed, 204},
		{"failed on purpose", keys, "evt_2", failed, 500},
		{"another key", other, "evt_3", failed, 401},
		{"no event", keys, "evt_4", `[]`, 400},
	} {
		if got, err := post(server.Client(), server.URL, tt.keys, tt.id, tt.body); got != tt.want || err != nil {
			t.Errorf("%s: %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
	want := callbacktest.Counts{
		Received: 6, Verified: 4, Refused: 2, Failed: 1, Changed: 1, Distinct: 2,
		ByType: map[string]int{"instance.created": 1, "instance.failed": 1},
	}
	if diff := cmp.Diff(want, r.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if len(refused) != 2 || !errors.Is(refused[0], callback.ErrBadSignature) {
		t.Errorf("refused: %v", refused)
	}

	zero := httptest.NewServer(&callbacktest.Receiver{})
	defer zero.Close()
	if got, err := post(zero.Client(), zero.URL, keys, "evt_1", created); got != http.StatusUnauthorized || err != nil {
		t.Errorf("a receiver without keys: %d, %v, want 401", got, err)
	}
}
