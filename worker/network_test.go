package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/camsq/camsq/tasks"
)

// network is what connects a process to something. Pulled, it cuts every
// connection, and dials are refused.
type network struct {
	mu    sync.Mutex
	out   bool
	conns []net.Conn
}

func (p *network) dial(dial func() (net.Conn, error)) (net.Conn, error) {
	p.mu.Lock()
	out := p.out
	p.mu.Unlock()
	if out {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out {
		_ = conn.Close()
	}
	p.conns = append(p.conns, conn)
	return conn, nil
}

func (p *network) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *network) push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = false
}

// fakeReceiver is the receiver of every callback.
type fakeReceiver struct {
	mu   sync.Mutex
	jobs map[string]int
	ids  map[string]map[string]bool
	// batches are the events of batches, as they came.
	batches []batchEvent
	// fails is how many of those are refused first.
	fails int
}

type batchEvent struct {
	id, body string
	event    tasks.Event
}

func newFakeReceiver() *fakeReceiver {
	return &fakeReceiver{jobs: map[string]int{}, ids: map[string]map[string]bool{}}
}

func (p *fakeReceiver) Send(_ context.Context, _, id string, body []byte) tasks.Delivery {
	e, err := tasks.DecodeEvent(body)
	if err != nil {
		return tasks.Delivery{Result: tasks.DeliveryRefused, Reason: tasks.ReasonOther, Detail: err.Error()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Type == tasks.EventBatchCompleted {
		p.batches = append(p.batches, batchEvent{id, string(body), e})
		if len(p.batches) <= p.fails {
			return tasks.Delivery{Status: 503, Reason: tasks.ReasonServerError}
		}
		return tasks.Delivery{Result: tasks.DeliveryDelivered, Status: 200, Reason: tasks.ReasonOK}
	}
	p.jobs[e.Data.JobID]++
	if p.ids[e.Data.JobID] == nil {
		p.ids[e.Data.JobID] = map[string]bool{}
	}
	p.ids[e.Data.JobID][id] = true
	return tasks.Delivery{Result: tasks.DeliveryDelivered, Status: 200, Reason: tasks.ReasonOK}
}

func (p *fakeReceiver) received(job string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jobs[job]
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// names returns n job IDs.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}
