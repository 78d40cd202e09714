package callbacktest

import (
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/camsq/camsq/callback"
)

// Receiver is an http.Handler that verifies webhooks and counts them. It keeps a hash of
// each webhook's body and nothing else.
//
// It answers 204 to a genuine webhook, 500 to one that Fail names, 401 to one without a
// valid signature, and 400 to one that holds no event. The zero value knows no key and
// answers 401 to everything. Set the fields before it is served.
type Receiver struct {
	// Keys verify the signatures: callback.ParseSecrets of CAMSQ_CALLBACK_SECRET.
	Keys callback.Keyring
	// Fail reports whether to answer 500 to the genuine webhook with this webhook-id.
	// It is called once for each delivery, from several goroutines. Nil never fails.
	Fail func(id string, e callback.Event) bool
	// OnEvent is called for each genuine webhook before it is answered and counted, from
	// several goroutines. It may be nil.
	OnEvent func(Delivery)
	// OnRefused is called with the reason for each webhook that is answered 401 or 400:
	// an error of callback.ReadEvent. It may be nil.
	OnRefused func(error)

	mu     sync.Mutex
	count  Counts
	bodies map[string][sha256.Size]byte // hashes, by webhook-id
}

// Delivery is one genuine webhook and its answer.
type Delivery struct {
	// At is the time of the answer.
	At time.Time
	// ID is the webhook-id, the same for each attempt to deliver an event.
	ID    string
	Event callback.Event
	// Status is the HTTP status of the answer.
	Status int
}

// Counts are the numbers of webhooks received so far.
type Counts struct {
	Received int `json:"received"`
	Verified int `json:"verified"`
	// Refused is how many had no valid signature, or held no event.
	Refused int `json:"refused"`
	// Failed is how many genuine ones were answered 500 because of Fail.
	Failed int `json:"failed_on_purpose"`
	// Changed is how many came again under the same ID with another body. camsq sends none.
	Changed int `json:"changed"`
	// Distinct is the number of different IDs among the verified ones, and ByType the
	// same number for each type of event.
	Distinct int            `json:"distinct"`
	ByType   map[string]int `json:"by_type"`
}

// ServeHTTP verifies, counts and answers one webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	hash := sha256.New()
	q.Body = io.NopCloser(io.TeeReader(q.Body, hash))
	id, event, err := callback.ReadEvent(q, time.Now(), r.Keys)
	status := http.StatusNoContent
	switch {
	case errors.Is(err, callback.ErrUnsigned), errors.Is(err, callback.ErrBadSignature), errors.Is(err, callback.ErrStale):
		status = http.StatusUnauthorized
	case err != nil:
		status = http.StatusBadRequest
	case r.Fail != nil && r.Fail(id, event):
		status = http.StatusInternalServerError
	}
	switch {
	case err != nil && r.OnRefused != nil:
		r.OnRefused(err)
	case err == nil && r.OnEvent != nil:
		r.OnEvent(Delivery{At: time.Now(), ID: id, Event: event, Status: status})
	}
	if err != nil {
		r.countRefused()
		http.Error(w, err.Error(), status)
		return
	}
	r.countVerified(id, event, [sha256.Size]byte(hash.Sum(nil)), status)
	w.WriteHeader(status)
}

func (r *Receiver) countRefused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.Received++
	r.count.Refused++
}

func (r *Receiver) countVerified(id string, event callback.Event, body [sha256.Size]byte, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.Received++
	r.count.Verified++
	if status >= 300 {
		r.count.Failed++
	}
	if r.bodies == nil {
		r.bodies, r.count.ByType = map[string][sha256.Size]byte{}, map[string]int{}
	}
	if first, again := r.bodies[id]; !again {
		r.bodies[id] = body
		r.count.Distinct++
		r.count.ByType[string(event.Type)]++
	} else if first != body {
		r.count.Changed++
	}
}

// Counts returns the numbers so far. ByType is never nil, and the caller's to change.
func (r *Receiver) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.count
	c.ByType = maps.Clone(c.ByType)
	if c.ByType == nil {
		c.ByType = map[string]int{}
	}
	return c
}
