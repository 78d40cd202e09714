package callback_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/camsq/camsq/callback"
)

const exampleBody = `{"type":"instance.created","timestamp":"2026-03-04T05:06:07Z","data":{"job_id":"acme-1","instance":{"instance_id":"cams-1"}}}`

// A receiver: verify, do the work once per ID, answer 2xx.
func ExampleReadEvent() {
	secret := callback.NewSecret() // the one that camsq has in CAMSQ_CALLBACK_SECRET
	keys, err := callback.ParseSecrets(secret)
	if err != nil {
		panic(err)
	}
	seen := map[string]bool{} // in real life: a table with a unique key
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, event, err := callback.ReadEvent(r, time.Now(), keys)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !seen[id] {
			seen[id] = true
			fmt.Println(event.Type, event.Data.JobID, event.Data.Instance.InstanceID)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	// The sender's side, as camsq does it.
	roots := x509.NewCertPool()
	roots.AddCert(receiver.Certificate())
	sender, err := callback.NewSender(callback.Config{Keys: keys, AllowPrivate: true, RootCAs: roots})
	if err != nil {
		panic(err)
	}
	defer sender.Close()
	for range 2 {
		delivery := sender.Send(context.Background(), receiver.URL, "msg_1", []byte(exampleBody))
		fmt.Println(delivery.Result, delivery.Status)
	}
	// Output:
	// instance.created acme-1 cams-1
	// delivered 204
	// delivered 204
}

// Verify is all that a receiver with a framework of its own needs: the headers and the body as it came.
func ExampleVerify() {
	keys, err := callback.ParseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	header := http.Header{}
	header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set("webhook-timestamp", "1614265330")
	header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	now := time.Unix(1614265330, 0) // in real life: time.Now()

	fmt.Println(callback.Verify(header, []byte(`{"test": 2432232314}`), now, keys))
	fmt.Println(callback.Verify(header, []byte(`{"test": 9999999999}`), now, keys))
	fmt.Println(callback.Verify(header, []byte(`{"test": 2432232314}`), now.Add(time.Hour), keys))
	// Output:
	// <nil>
	// callback: the webhook's signature is wrong: none of 1 keys made it
	// callback: the webhook's timestamp is too far from now: the tolerance is 5m0s
}
