package demo

import (
	"sync"
	"time"

	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/tasks"
)

// jobTrace is all that is known of one job in the end.
type jobTrace struct {
	record   tasks.Record
	looks    []time.Duration
	calls    []call
	webhooks []callbacktest.Delivery
}

// recorder notes what the cloud, the workers and the receiver saw. It is safe for
// concurrent use once begun.
type recorder struct {
	mu       sync.Mutex
	begun    time.Time
	looks    map[string][]time.Duration // by instance name
	calls    map[tasks.Ref][]call
	webhooks map[tasks.Ref][]callbacktest.Delivery
}

type call struct {
	at time.Duration
	tasks.Attempt
}

func (j *recorder) begin(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.begun = now
	j.looks, j.calls, j.webhooks = map[string][]time.Duration{}, map[tasks.Ref][]call{}, map[tasks.Ref][]callbacktest.Delivery{}
}

func (j *recorder) look(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.looks[name] = append(j.looks[name], time.Since(j.begun))
}

func (j *recorder) attempt(a tasks.Attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ref := tasks.Ref{Account: a.Account, ID: a.JobID}
	j.calls[ref] = append(j.calls[ref], call{time.Since(j.begun), a})
}

func (j *recorder) webhook(a callbacktest.Delivery) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ref := tasks.Ref{Account: a.Event.Data.Account, ID: a.Event.Data.JobID}
	j.webhooks[ref] = append(j.webhooks[ref], a)
}

func (j *recorder) fate(r tasks.Record) jobTrace {
	j.mu.Lock()
	defer j.mu.Unlock()
	return jobTrace{record: r, looks: j.looks[r.Request.InstanceName], calls: j.calls[r.Ref()], webhooks: j.webhooks[r.Ref()]}
}

// last is when the last call ended.
func (j *recorder) last() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := time.Duration(0)
	for _, calls := range j.calls {
		last = max(last, calls[len(calls)-1].at)
	}
	return j.begun.Add(last)
}
