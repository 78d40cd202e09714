package worker_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// memory is a ledger in a map. It holds its callers to the contract of
// [worker.Store]: only by an edge, only from the revision that was read. Like
// Redis it does nothing for a context that has ended.
type memory struct {
	mu               sync.Mutex
	jobs             map[tasks.Ref]tasks.Record
	names, instances map[string]string
	completions      map[tasks.BatchRef]tasks.Completion
	revisions        int
}

func newMemory() *memory {
	return &memory{jobs: map[tasks.Ref]tasks.Record{}, names: map[string]string{}, instances: map[string]string{}, completions: map[tasks.BatchRef]tasks.Completion{}}
}

// put writes a record as it is.
func (m *memory) put(r tasks.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store(r)
}

func (m *memory) store(r tasks.Record) tasks.Record {
	r.Rev = m.newRev()
	return m.keep(r)
}

// newRev returns a revision that no write has. The caller has the lock.
func (m *memory) newRev() string {
	m.revisions++
	return strconv.Itoa(m.revisions)
}

func (m *memory) keep(r tasks.Record) tasks.Record {
	m.jobs[r.Ref()] = r
	r.Now = time.Now()
	return r
}

func (m *memory) Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return tasks.Record{}, err
	}
	r, ok := m.jobs[ref]
	if !ok {
		return r, fmt.Errorf("memory: %s: %w", ref, tasks.ErrNotFound)
	}
	r.Now = time.Now()
	return r, nil
}

func (m *memory) Step(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	made, err := m.intend(r, by)
	if err != nil {
		return tasks.Record{}, err
	}
	return m.write(ctx, r, made, due)
}

func (m *memory) Note(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error) {
	made, _ := m.intend(r, "")
	return m.write(ctx, r, made, due)
}

// intend returns what a step, or a note, would make of a record.
func (m *memory) intend(r tasks.Record, by tasks.Step) (made tasks.Record, err error) {
	made = r
	if by != "" {
		if made.State, err = tasks.Next(r.State, by); err != nil {
			return tasks.Record{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	made.Rev = m.newRev()
	return made, nil
}

func (m *memory) write(ctx context.Context, r, made tasks.Record, due time.Duration) (tasks.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return made, err
	}
	to := made.State
	old, ok := m.jobs[r.Ref()]
	switch {
	case !ok:
		return tasks.Record{}, tasks.ErrNotFound
	case old.Rev != r.Rev || old.State != r.State:
		return tasks.Record{}, tasks.ErrConflict
	}
	if to == tasks.StateCreated && r.Instance != nil {
		if holder := m.instances[r.Instance.InstanceID]; holder != "" && holder != r.ID {
			return tasks.Record{}, tasks.ErrClaimed
		}
		m.instances[r.Instance.InstanceID] = r.ID
	}
	if name := r.Request.NameKey(); to.Final() && m.names[name] == r.ID {
		delete(m.names, name)
	}
	now := time.Now()
	if to != old.State {
		old.Since = now
	}
	old.State, old.Progress, old.Due, old.Rev = to, r.Progress, time.Time{}, made.Rev
	if due > 0 {
		old.Due = now.Add(due)
	}
	return m.keep(old), nil
}

func (m *memory) Claim(_ context.Context, r tasks.Record) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := r.Request.NameKey()
	// A turn that read its job before the job ended may claim after that.
	holder := m.jobs[tasks.Ref{Account: r.Account, ID: m.names[name]}]
	if m.names[name] == "" || holder.State.Final() {
		m.names[name] = r.ID
	}
	return m.names[name], nil
}

func (m *memory) Claimed(_ context.Context, r tasks.Record, ids []string) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	claimed := map[string]bool{}
	for _, id := range ids {
		claimed[id] = m.instances[id] != "" && m.instances[id] != r.ID
	}
	return claimed, nil
}

func (m *memory) Taken(_ context.Context, r tasks.Record, keys []string) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := map[string]bool{}
	for _, key := range keys {
		holder := m.names[key]
		other := m.jobs[tasks.Ref{Account: r.Account, ID: holder}]
		taken[key] = holder != "" && holder != r.ID && (other.State == tasks.StateCalling || other.State == tasks.StateUncertain)
	}
	return taken, nil
}

// complete writes a completion that is owed.
func (m *memory) complete(c tasks.Completion) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.completions[c.BatchRef] = c
}

func (m *memory) Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, there := m.completions[ref]
	if !there {
		return c, fmt.Errorf("memory: %s: %w", ref, tasks.ErrNotFound)
	}
	return c, ctx.Err()
}

func (m *memory) NoteCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.completions[c.BatchRef].Rev != c.Rev {
		return tasks.ErrConflict
	}
	m.revisions++
	c.Rev, c.Callback = strconv.Itoa(m.revisions), to
	m.completions[c.BatchRef] = c
	return nil
}

// shelf is a cloud in a list, without the wire: names are not unique, and a call
// whose context has ended makes nothing.
type shelf struct {
	// lag is how long a new instance is not listed, broken how many lists fail first.
	lag    time.Duration
	broken int
	// store is what becomes of a name that is stored; the list's filter does the same to
	// the name that it looks for. It may be nil. part has the filter find parts of names.
	store func(string) string
	part  bool

	mu        sync.Mutex
	instances []cams.Instance
	listed    []time.Time // when each instance is
	creates   int
	asked     []string // the names of the creates
}

func (s *shelf) CreateInstance(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return cams.Instance{}, &cams.Error{Op: "CreateInstance", Err: err}
	}
	s.creates++
	s.asked = append(s.asked, q.InstanceName)
	i := s.add(q.ChannelType, s.stored(q.InstanceName))
	i.InstanceName = q.InstanceName // as the client returns it
	return i, nil
}

func (s *shelf) stored(name string) string {
	if s.store == nil {
		return name
	}
	return s.store(name)
}

func (s *shelf) add(channelType, name string) cams.Instance {
	i := cams.Instance{InstanceID: strconv.Itoa(1000 + len(s.instances)), ChannelType: channelType, InstanceName: name}
	s.instances = append(s.instances, i)
	s.listed = append(s.listed, time.Now().Add(s.lag))
	return i
}

func (s *shelf) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, &cams.Error{Op: "ListInstance", Err: err}
	}
	if s.broken > 0 {
		s.broken--
		return false, &cams.Error{Op: "ListInstance", Sent: true, Status: 500, Code: "InternalError"}
	}
	var found []cams.Instance
	name := s.stored(q.InstanceName)
	for n, i := range s.instances {
		if i.ChannelType == q.ChannelType && (i.InstanceName == name || s.part && strings.Contains(i.InstanceName, name)) && !s.listed[n].After(time.Now()) {
			found = append(found, i)
		}
	}
	return q.Take(found, len(found))
}

// made is how many instances the creates of the name have made, listed or not.
func (s *shelf) made(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, asked := range s.asked {
		if asked == name {
			n++
		}
	}
	return n
}

// turnstile is a limiter that lets everybody through and notes what it was asked. Its
// wait may be set.
type turnstile struct {
	wait func(context.Context) error

	mu            sync.Mutex
	waits, urgent int
	rate          float64
	throttled     []time.Duration
}

func (g *turnstile) Wait(ctx context.Context) (time.Duration, error) {
	g.mu.Lock()
	g.waits++
	g.mu.Unlock()
	if g.wait != nil {
		return 0, g.wait(ctx)
	}
	return 0, ctx.Err()
}

func (g *turnstile) WaitUrgent(ctx context.Context) (time.Duration, error) {
	g.mu.Lock()
	g.urgent++
	g.mu.Unlock()
	return g.Wait(ctx)
}

func (g *turnstile) Throttled(_ context.Context, d time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.throttled = append(g.throttled, d)
	return nil
}

func (g *turnstile) SetRate(rate float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rate = rate
}

// fuse is a breaker in memory.
type fuse struct {
	mu     sync.Mutex
	trips  map[string]tasks.Trip // by account
	prober map[string]tasks.ProbeID
	until  time.Time // when the prober counts as dead
}

func (f *fuse) tripped(account string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, open := f.trips[account]
	return open
}

func (f *fuse) Trip(_ context.Context, id tasks.ProbeID, t tasks.Trip, next time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, open := f.trips[id.Account]; open && f.prober[id.Account] != id {
		return nil
	}
	if f.trips == nil {
		f.trips, f.prober = map[string]tasks.Trip{}, map[string]tasks.ProbeID{}
	}
	t.ProbeAt = time.Now().Add(next)
	before, open := f.trips[id.Account]
	if open && before.Witness != id.ID && t.Witness != id.ID {
		t.Witness = ""
	} else {
		t.Witness = id.ID
	}
	f.trips[id.Account] = t
	delete(f.prober, id.Account)
	return nil
}

func (f *fuse) Probe(_ context.Context, id tasks.ProbeID, d time.Duration) (bool, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, open := f.trips[id.Account]
	switch prober := f.prober[id.Account]; {
	case !open || prober == id:
		return true, 0, nil
	case prober != (tasks.ProbeID{}) && time.Until(f.until) > 0:
		return false, time.Until(f.until), nil
	case time.Until(t.ProbeAt) > 0 && (t.Witness == "" || t.Witness == id.ID):
		return false, time.Until(t.ProbeAt), nil
	}
	f.prober[id.Account], f.until = id, time.Now().Add(d)
	return true, 0, nil
}

func (f *fuse) Untrip(_ context.Context, id tasks.ProbeID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.prober[id.Account] == id {
		delete(f.trips, id.Account)
		delete(f.prober, id.Account)
	}
	return nil
}

func (f *fuse) Unprobe(_ context.Context, id tasks.ProbeID, next time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.prober[id.Account] == id {
		delete(f.prober, id.Account)
		t := f.trips[id.Account]
		t.ProbeAt = time.Now().Add(next)
		f.trips[id.Account] = t
	}
	return nil
}

// outbox is a queue of callbacks that counts them.
type outbox struct {
	err error

	mu      sync.Mutex
	queued  map[tasks.Ref]int
	batches []tasks.BatchRef
}

func (o *outbox) BatchCallback(_ context.Context, ref tasks.BatchRef) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batches = append(o.batches, ref)
	return o.err
}

func (o *outbox) Callback(_ context.Context, ref tasks.Ref) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	if o.queued == nil {
		o.queued = map[tasks.Ref]int{}
	}
	o.queued[ref]++
	return nil
}

func (o *outbox) all() map[tasks.Ref]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.queued)
}
