package testbed

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams/camstest"
)

// Config describes a Testbed. The zero value is a stand-in without a quota and a receiver
// that accepts every genuine webhook.
type Config struct {
	// CAMS configures the stand-in.
	CAMS camstest.Config
	// Fail and OnEvent are those of callbacktest.Receiver.
	Fail    func(id string, e callback.Event) bool
	OnEvent func(callbacktest.Delivery)
}

// Testbed is a running stand-in for CAMS and a running webhook receiver. They survive
// the workers, and what they saw is the evidence of what the workers did.
type Testbed struct {
	CAMS     *camstest.Server
	Receiver *callbacktest.Receiver
	// CallbackURL and CallbackSecret are the settings with which a worker reaches the receiver.
	CallbackURL, CallbackSecret string

	server *http.Server
}

// Start starts both on free ports. The error names the part that could not listen.
func Start(c Config) (*Testbed, error) {
	secret := callback.NewSecret()
	keys, err := callback.ParseSecrets(secret)
	if err != nil {
		return nil, err
	}
	cams := camstest.New(c.CAMS)
	if err := cams.Start(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cams.Close()
		return nil, fmt.Errorf("starting the webhook receiver: %w", err)
	}
	receiver := &callbacktest.Receiver{Keys: keys, Fail: c.Fail, OnEvent: c.OnEvent}
	b := &Testbed{
		CAMS: cams, Receiver: receiver, CallbackURL: "http://" + l.Addr().String(), CallbackSecret: secret,
		server: &http.Server{Handler: receiver, ReadHeaderTimeout: 5 * time.Second},
	}
	go func() { _ = b.server.Serve(l) }() // ends with Close
	return b, nil
}

// Close ends both. What they counted can still be read.
func (b *Testbed) Close() {
	b.CAMS.Close()
	_ = b.server.Close()
}

// WithoutSettings returns the variables of env that camsq does not read, so that a child
// process gets its settings from its parent alone.
func WithoutSettings(env []string) []string {
	var rest []string
	for _, pair := range env {
		if !strings.HasPrefix(pair, "CAMSQ_") && !strings.HasPrefix(pair, "ALIBABA_CLOUD_") {
			rest = append(rest, pair)
		}
	}
	return rest
}
