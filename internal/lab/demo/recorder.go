package demo

import (
	"sync"
	"time"

	"github.com/camsq/camsq/callback/callbacktest"
	"github.com/camsq/camsq/tasks"
)

// jobTrace is the recorded history of one job.
type jobTrace struct {
	record   tasks.Record
	lookups  []time.Duration
	calls    []call
	webhooks []callbacktest.Delivery
}

// recorder keeps the lookups and calls of the workers and the webhooks of the receiver. It
// is safe for concurrent use after begin.
type recorder struct {
	mu       sync.Mutex
	begun    time.Time
	lookups  map[string][]time.Duration // by instance name
	calls    map[tasks.Ref][]call
	webhooks map[tasks.Ref][]callbacktest.Delivery
}

type call struct {
	at time.Duration
	tasks.Attempt
}

func (r *recorder) start(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = now
	r.lookups, r.calls, r.webhooks = map[string][]time.Duration{}, map[tasks.Ref][]call{}, map[tasks.Ref][]callbacktest.Delivery{}
}

func (r *recorder) lookup(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookups[name] = append(r.lookups[name], time.Since(r.begun))
}

func (r *recorder) attempt(a tasks.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := tasks.Ref{Account: a.Account, ID: a.JobID}
	r.calls[ref] = append(r.calls[ref], call{time.Since(r.begun), a})
}

func (r *recorder) webhook(a callbacktest.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := tasks.Ref{Account: a.Event.Data.Account, ID: a.Event.Data.JobID}
	r.webhooks[ref] = append(r.webhooks[ref], a)
}

func (r *recorder) trace(record tasks.Record) jobTrace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return jobTrace{record: record, lookups: r.lookups[record.Request.InstanceName], calls: r.calls[record.Ref()], webhooks: r.webhooks[record.Ref()]}
}

// last is the time when the last call ended.
func (r *recorder) last() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := time.Duration(0)
	for _, calls := range r.calls {
		last = max(last, calls[len(calls)-1].at)
	}
	return r.begun.Add(last)
}
