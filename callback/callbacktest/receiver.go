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

// Receiver is a webhook receiver that verifies and counts, and keeps nothing
// else. Set its fields before it is served.
type Receiver struct {
	Keys callback.Keyring
	// fails says whether to answer 500 to a webhook that is genuine. Nil never does.
	Fail func(id string, e callback.Event) bool
	// seen is told of each webhook that is genuine, with the answer it got. It may be nil.
	OnEvent func(a Delivery)
	// refused is told of each webhook that is not accepted, and why. It may be nil.
	OnRefused func(err error)

	mu    sync.Mutex
	count Counts
	ids   map[string][sha256.Size]byte
}

// Delivery is one webhook that came and was genuine.
type Delivery struct {
	At     time.Time
	ID     string
	Event  callback.Event
	Status int
}

// Counts is what came in.
type Counts struct {
	Received int `json:"received"`
	Verified int `json:"verified"`
	// Refused had no good signature, or no event in them.
	Refused int `json:"refused"`
	// Failed were genuine, and answered 500 on purpose.
	Failed int `json:"failed_on_purpose"`
	// Changed came again under the same ID with another body, which must not be.
	Changed int `json:"changed"`
	// Distinct are the different IDs among the verified, ByType their events.
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
	r.note(id, event, [sha256.Size]byte(hash.Sum(nil)), status, err)
	if err != nil {
		if r.OnRefused != nil {
			r.OnRefused(err)
		}
		http.Error(w, err.Error(), status)
		return
	}
	if r.OnEvent != nil {
		r.OnEvent(Delivery{At: time.Now(), ID: id, Event: event, Status: status})
	}
	w.WriteHeader(status)
}

func (r *Receiver) note(id string, event callback.Event, body [sha256.Size]byte, status int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count.Received++
	if err != nil {
		r.count.Refused++
		return
	}
	r.count.Verified++
	if status >= 300 {
		r.count.Failed++
	}
	if r.ids == nil {
		r.ids, r.count.ByType = map[string][sha256.Size]byte{}, map[string]int{}
	}
	if first, again := r.ids[id]; !again {
		r.ids[id] = body
		r.count.Distinct++
		r.count.ByType[string(event.Type)]++
	} else if first != body {
		r.count.Changed++
	}
}

// Counts returns what came in so far.
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
