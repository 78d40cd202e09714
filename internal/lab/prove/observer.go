package prove

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/lab/testbed"
)

// observer is what survives everything and counts: the cloud and the receiver. The
// workers are never asked.
type observer struct {
	*testbed.Testbed
	options Options
	begun   time.Time

	mu     sync.Mutex
	calls  map[string][]observation           // by instance name
	nth    map[string]int                     // by operation and instance name
	events map[string][]callbacktest.Delivery // by job ID
	failed map[string]bool                    // webhooks that were failed once
}

// observation is a call that came to the cloud, and what it met.
type observation struct {
	at   time.Time
	what string
}

const proveKeyID, proveKeySecret = "prove-key-id", "prove-key-secret"

func startObserver(o Options) (*observer, error) {
	w := &observer{
		options: o, begun: time.Now(), calls: map[string][]observation{}, nth: map[string]int{},
		events: map[string][]callbacktest.Delivery{}, failed: map[string]bool{},
	}
	var err error
	w.Testbed, err = testbed.Start(testbed.Config{
		CAMS: camstest.Config{
			Keys: map[string]string{proveKeyID: proveKeySecret}, Seed: o.Seed,
			Quota: int(math.Ceil(o.rate() * 1.2)), Latency: proveLatency, ListLag: proveListLag, OnRequest: w.request,
			StoreName: o.stored, FilterStored: true,
		},
		Fail: w.fails, OnEvent: w.seen,
	})
	if err != nil {
		return nil, exit.Unreachablef("prove: %w", err)
	}
	return w, nil
}

// request decides what a call meets, and writes it down.
func (w *observer) request(op string, params url.Values) {
	name := params.Get("InstanceName")
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.nth[op+" "+name]
	w.nth[op+" "+name]++
	s := observation{at: time.Now(), what: op}
	var fault *camstest.Fault
	if op == "CreateInstance" {
		if fault = createFault(w.options, name, n); fault != nil {
			w.CAMS.FailName(name, *fault)
		}
	} else if fault = listFault(w.options, name, n); fault != nil {
		w.CAMS.Next(op, *fault) // the next list may be another job's, which is as good
	}
	if fault != nil {
		s.what += " meets " + fault.Reply.String()
		if fault.Created {
			s.what += ", but is carried out"
		}
	}
	w.calls[name] = append(w.calls[name], s)
}

// fails says that a receiver fails on so many webhooks as the cloud does on calls.
// Each is failed once: the second pause between two tries is 5 minutes long.
func (w *observer) fails(id string, e callback.Event) bool {
	if !share(w.options.Seed, "webhook "+e.Data.JobID, w.options.Faults) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.failed[id]
	w.failed[id] = true
	return first
}

func (w *observer) seen(a callbacktest.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[a.Event.Data.JobID] = append(w.events[a.Event.Data.JobID], a)
}

func (w *observer) eventsByJob() map[string][]callbacktest.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.events)
}

// story is what the witness has seen of a job.
func (w *observer) story(id, name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Clone(w.calls[name])
	for _, e := range w.events[id] {
		all = append(all, observation{e.At, fmt.Sprintf("webhook %s %s, answered %d", e.ID, e.Event.Type, e.Status)})
	}
	slices.SortStableFunc(all, func(a, b observation) int { return a.at.Compare(b.at) })
	lines := make([]string, len(all))
	for i, s := range all {
		lines[i] = s.at.Format(storyTime) + "  " + s.what
	}
	return lines
}

// storyTime is as in the workers' logs.
const storyTime = "15:04:05.000"
