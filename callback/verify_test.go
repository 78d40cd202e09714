package callback_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/tasks"
)

func TestVerify(t *testing.T) {
	other := whsec(32)
	const body = `{"a":1}`
	cases := []struct {
		name string
		// secrets sign, keys verify; change is done to the headers on the way.
		secrets, keys string
		change        func(http.Header)
		body          string
		late          time.Duration
		want          error
	}{
		{name: "a genuine webhook"},
		{name: "at the end of the tolerance", late: 5 * time.Minute},
		{name: "from a clock that is ahead, within the tolerance", late: -5 * time.Minute},
		{name: "too late", late: 5*time.Minute + time.Second, want: callback.ErrStale},
		{name: "from the future", late: -5*time.Minute - time.Second, want: callback.ErrStale},
		{name: "from the year 292277026596", change: func(h http.Header) { h.Set("webhook-timestamp", "9223372036854775807") }, want: callback.ErrBadSignature},
		{name: "no ID", change: func(h http.Header) { h.Del("webhook-id") }, want: callback.ErrUnsigned},
		{name: "no timestamp", change: func(h http.Header) { h.Del("webhook-timestamp") }, want: callback.ErrUnsigned},
		{name: "no signature", change: func(h http.Header) { h.Del("webhook-signature") }, want: callback.ErrUnsigned},
		{name: "another body", body: `{"a":2}`, want: callback.ErrBadSignature},
		{name: "another ID", change: func(h http.Header) { h.Set("webhook-id", "msg_2") }, want: callback.ErrBadSignature},
		{name: "another timestamp", change: func(h http.Header) { h.Set("webhook-timestamp", "1614265331") }, want: callback.ErrBadSignature},
		{name: "the same timestamp, spelled otherwise", change: func(h http.Header) { h.Set("webhook-timestamp", "+1614265330") }, want: callback.ErrBadSignature},
		{name: "a timestamp that is no number", change: func(h http.Header) { h.Set("webhook-timestamp", "now") }, want: callback.ErrBadSignature},
		{name: "forged and late is forged", body: "x", late: time.Hour, want: callback.ErrBadSignature},
		{name: "another key", keys: other, want: callback.ErrBadSignature},
		{name: "rotation: the sender signs with old and new, the receiver knows the old", secrets: other + " " + exampleSecret},
		{name: "rotation: the receiver knows old and new, the sender signs with one", keys: other + " " + exampleSecret},
		{name: "the good signature after unknown ones", change: func(h http.Header) {
			h.Set("webhook-signature", "v2,AAAA v1 nonsense v1,%% v1a,AAAA "+h.Get("webhook-signature"))
		}},
		{name: "the good signature after too many others", change: func(h http.Header) {
			h.Set("webhook-signature", strings.Repeat("v1,AAAA ", 16)+h.Get("webhook-signature"))
		}, want: callback.ErrBadSignature},
		{name: "the right bytes under another version", change: func(h http.Header) {
			h.Set("webhook-signature", strings.Replace(h.Get("webhook-signature"), "v1,", "v1a,", 1))
		}, want: callback.ErrBadSignature},
		{name: "half a signature", change: func(h http.Header) {
			h.Set("webhook-signature", h.Get("webhook-signature")[:23]+"=")
		}, want: callback.ErrBadSignature},
		{name: "an empty signature", change: func(h http.Header) { h.Set("webhook-signature", "v1,") }, want: callback.ErrBadSignature},
		{name: "a public key accepts the private key's", secrets: examplePrivate, keys: examplePublic},
		{name: "a private key accepts its own", secrets: examplePrivate, keys: exampleSeed},
		{name: "a public key refuses another pair's", secrets: "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=", keys: examplePublic, want: callback.ErrBadSignature},
		{name: "a public key refuses another body", secrets: examplePrivate, keys: examplePublic, body: "x", want: callback.ErrBadSignature},
		{name: "a receiver with no key accepts nothing", keys: "none", want: callback.ErrBadSignature},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			secrets, keys := exampleSecret, callback.Keyring{}
			if c.secrets != "" {
				secrets = c.secrets
			}
			switch c.keys {
			case "none":
			case "":
				keys = mustParse(t, exampleSecret)
			default:
				keys = mustParse(t, c.keys)
			}
			header, err := callback.Sign("msg_1", now, []byte(body), mustParse(t, secrets))
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(header)
			}
			received := body
			if c.body != "" {
				received = c.body
			}
			err = callback.Verify(header, []byte(received), now.Add(c.late), keys)
			if !errors.Is(err, c.want) {
				t.Errorf("Verify = %v, want %v", err, c.want)
			}
		})
	}
}

// The signed bytes "msg_1.T.T.{}" can be split in two ways. Only the sender's own is a webhook.
func TestAnIDWithADotIsNeverAccepted(t *testing.T) {
	keys := mustParse(t, exampleSecret)
	header, err := callback.Sign("msg_1", now, []byte("1614265330.{}"), keys)
	if err != nil {
		t.Fatal(err)
	}
	header.Set("webhook-id", "msg_1.1614265330")
	if err := callback.Verify(header, []byte("{}"), now, keys); !errors.Is(err, callback.ErrBadSignature) {
		t.Errorf("Verify = %v, want ErrBadSignature", err)
	}
}

const createdBody = `{"type":"instance.created","timestamp":"2026-03-04T05:06:07Z","data":{"job_id":"j1","account":"default","instance":{"instance_id":"cams-1"}}}`

func TestReadEvent(t *testing.T) {
	keys := mustParse(t, exampleSecret)
	cases := []struct {
		name string
		body io.Reader
		sign string // what was signed
		want error
	}{
		{"a genuine event", strings.NewReader(createdBody), createdBody, nil},
		{"a forged event", strings.NewReader(createdBody), "x", callback.ErrBadSignature},
		{"a body without end", io.LimitReader(zeros{}, 1<<30), "x", callback.ErrTooLarge},
		{"a body that breaks off", iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(createdBody))), createdBody, iotest.ErrTimeout},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			header, err := callback.Sign("msg_1", now, []byte(c.sign), keys)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "/hook", c.body)
			r.Header = header
			id, event, err := callback.ReadEvent(r, now, keys)
			if !errors.Is(err, c.want) {
				t.Fatalf("ReadEvent error = %v, want %v", err, c.want)
			}
			if err == nil && (id != "msg_1" || event.Data.Instance.InstanceID != "cams-1") {
				t.Errorf("id, event = %q, %+v", id, event)
			}
			if err != nil && id != "" {
				t.Errorf("a refused webhook has the ID %q", id)
			}
		})
	}
	t.Run("a completed batch", func(t *testing.T) {
		body, err := tasks.EncodeEvent(tasks.Completion{
			BatchRef: tasks.BatchRef{Account: "eu", Batch: "march", Completion: 2},
			Facts:    tasks.Batch{Jobs: map[tasks.State]int64{tasks.StateCreated: 3}, Completed: now},
		}.Event())
		if err != nil {
			t.Fatal(err)
		}
		header, err := callback.Sign("msg_1", now, body, keys)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/hook", bytes.NewReader(body))
		r.Header = header
		_, event, err := callback.ReadEvent(r, now, keys)
		if err != nil || event.Type != tasks.EventBatchCompleted || event.Data.Account != "eu" || event.Data.BatchID != "march" ||
			event.Data.Batch == nil || event.Data.Batch.Completion != 2 || event.Data.Batch.Jobs.Created != 3 {
			t.Errorf("event = %+v, %v", event, err)
		}
	})
	t.Run("signed, but no event", func(t *testing.T) {
		header, err := callback.Sign("msg_1", now, []byte("hello"), keys)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader("hello"))
		r.Header = header
		if _, _, err := callback.ReadEvent(r, now, keys); err == nil {
			t.Error("accepted")
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Whatever the headers hold, Verify does not panic, and accepts only what one of
// the keys signed: here, the one webhook that the seeds contain.
func FuzzVerify(f *testing.F) {
	const body = `{"a":1}`
	keys := mustParse(f, exampleSecret, examplePublic)
	for _, secret := range []string{exampleSecret, examplePrivate} {
		header, err := callback.Sign("msg_1", now, []byte(body), mustParse(f, secret))
		if err != nil {
			f.Fatal(err)
		}
		f.Add("msg_1", "1614265330", header.Get("webhook-signature"), []byte(body))
		f.Add("msg_1.1614265330", "1614265330", header.Get("webhook-signature"), []byte(body))
		f.Add("msg_1", "01614265330", "v1, v1a, "+header.Get("webhook-signature"), []byte(`{"a":1} `))
	}
	f.Add("", "", "", []byte{})
	f.Add("a", "-1", "v1,=", []byte(nil))
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, received []byte) {
		header := http.Header{}
		header.Set("webhook-id", id)
		header.Set("webhook-timestamp", timestamp)
		header.Set("webhook-signature", signature)
		err := callback.Verify(header, received, now, keys)
		genuine := id == "msg_1" && timestamp == "1614265330" && bytes.Equal(received, []byte(body))
		if err == nil && !genuine {
			t.Errorf("accepted id %q, timestamp %q, signature %q, body %q", id, timestamp, signature, received)
		}
		if err != nil && !errors.Is(err, callback.ErrUnsigned) && !errors.Is(err, callback.ErrBadSignature) && !errors.Is(err, callback.ErrStale) {
			t.Errorf("error %v wraps none of the sentinels", err)
		}
	})
}
