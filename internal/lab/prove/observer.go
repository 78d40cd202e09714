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

// observer is the API stand-in and the receiver, which survive every fault and record what
// they see. No figure comes from a worker.
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

// observation is a call that reached the API, and the fault that it met.
type observation struct {
	at   time.Time
	what string
}

const proveKeyID, proveKeySecret = "prove-key-id", "prove-key-secret"

func startObserver(options Options) (*observer, error) {
	o := &observer{
		options: options, begun: time.Now(), calls: map[string][]observation{}, nth: map[string]int{},
		events: map[string][]callbacktest.Delivery{}, failed: map[string]bool{},
	}
	var err error
	o.Testbed, err = testbed.Start(testbed.Config{
		CAMS: camstest.Config{
			Keys: map[string]string{proveKeyID: proveKeySecret}, Seed: options.Seed,
			Quota: int(math.Ceil(options.rate() * 1.2)), Latency: proveLatency, ListLag: proveListLag, OnRequest: o.request,
			StoreName: options.stored, FilterStored: true,
		},
		Fail: o.fails, OnEvent: o.seen,
	})
	if err != nil {
		return nil, exit.Unreachablef("prove: %o", err)
	}
	return o, nil
}

// request draws the fault of a call, and records both.
func (o *observer) request(op string, params url.Values) {
	name := params.Get("InstanceName")
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.nth[op+" "+name]
	o.nth[op+" "+name]++
	call := observation{at: time.Now(), what: op}
	var fault *camstest.Fault
	if op == "CreateInstance" {
		if fault = createFault(o.options, name, n); fault != nil {
			o.CAMS.FailName(name, *fault)
		}
	} else if fault = listFault(o.options, name, n); fault != nil {
		o.CAMS.Next(op, *fault) // the next list may be another job's, which serves as well
	}
	if fault != nil {
		call.what += " meets " + fault.Reply.String()
		if fault.Created {
			call.what += ", but is carried out"
		}
	}
	o.calls[name] = append(o.calls[name], call)
}

// fails gives webhooks the same share of faults as calls. Each fails once only, since the
// second pause between two attempts is 5 minutes long.
func (o *observer) fails(id string, e callback.Event) bool {
	if !share(o.options.Seed, "webhook "+e.Data.JobID, o.options.Faults) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	first := !o.failed[id]
	o.failed[id] = true
	return first
}

func (o *observer) seen(a callbacktest.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events[a.Event.Data.JobID] = append(o.events[a.Event.Data.JobID], a)
}

func (o *observer) eventsByJob() map[string][]callbacktest.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.events)
}

// timeline lists what was observed of a job.
func (o *observer) timeline(id, name string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.Clone(o.calls[name])
	for _, e := range o.events[id] {
		all = append(all, observation{e.At, fmt.Sprintf("webhook %s %s, answered %d", e.ID, e.Event.Type, e.Status)})
	}
	slices.SortStableFunc(all, func(a, b observation) int { return a.at.Compare(b.at) })
	lines := make([]string, len(all))
	for i, x := range all {
		lines[i] = x.at.Format(clockTime) + "  " + x.what
	}
	return lines
}

// clockTime is the time format of the workers' logs.
const clockTime = "15:04:05.000"
