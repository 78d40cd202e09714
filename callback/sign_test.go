package callback_test

import (
	"strings"
	"testing"
	"time"

	"github.com/camsq/camsq/callback"
)

var now = time.Unix(1614265330, 0)

// The answers are published: spec/standard-webhooks.md, and Svix's and the Standard Webhooks libraries' own tests.
func TestSignGivesThePublishedAnswers(t *testing.T) {
	const (
		id   = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		body = `{"test": 2432232314}`
	)
	cases := []struct{ name, secrets, want string }{
		{"v1", exampleSecret, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{"v1a", examplePrivate, "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="},
		{"v1a, from a seed", exampleSeed, "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="},
		{"v1a, another seed", "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=", "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="},
		{"several keys, in their order", examplePrivate + " " + exampleSecret, "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			header, err := callback.Sign(id, now, []byte(body), mustParse(t, c.secrets))
			if err != nil {
				t.Fatal(err)
			}
			if got := header.Get("webhook-signature"); got != c.want {
				t.Errorf("signature\n got %s\nwant %s", got, c.want)
			}
			if header.Get("webhook-id") != id || header.Get("webhook-timestamp") != "1614265330" || len(header) != 3 {
				t.Errorf("headers = %v", header)
			}
		})
	}
}

func TestSignRefusesWhatNobodyCouldVerify(t *testing.T) {
	cases := []struct{ name, id, secrets, want string }{
		{"no ID", "", exampleSecret, "0 bytes"},
		{"an ID with a dot", "job.1", exampleSecret, `'.'`},
		{"an ID with a space", "job 1", exampleSecret, `' '`},
		{"an ID with a line break", "job\r\nX-Evil: 1", exampleSecret, `'\r'`},
		{"an ID that is not ASCII", "店", exampleSecret, "not allowed"},
		{"an ID that is too long", strings.Repeat("a", 257), exampleSecret, "257 bytes"},
		{"a key that cannot sign", "msg_1", examplePublic, "must be a whsec_ or whsk_ key"},
		{"no key", "msg_1", "", "must be a whsec_ or whsk_ key"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var keys callback.Keyring
			if c.secrets != "" {
				keys = mustParse(t, c.secrets)
			}
			header, err := callback.Sign(c.id, now, []byte("{}"), keys)
			if err == nil {
				t.Fatalf("signed: %v", header)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
		})
	}
}
