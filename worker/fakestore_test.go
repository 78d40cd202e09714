package worker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
)

// fakeStore is a ledger in a map. It holds its callers to the contract of
// [worker.Store]: only by an edge, only from the revision that was read. Like
// Redis it does nothing for a context that has ended.
type fakeStore struct {
	mu               sync.Mutex
	jobs             map[tasks.Ref]tasks.Record
	names, instances map[string]string
	completions      map[tasks.BatchRef]tasks.Completion
	versions         int
}

func newFakeStore() *fakeStore {
	return &fakeStore{jobs: map[tasks.Ref]tasks.Record{}, names: map[string]string{}, instances: map[string]string{}, completions: map[tasks.BatchRef]tasks.Completion{}}
}

// put writes a record as it is.
func (m *fakeStore) put(r tasks.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store(r)
}

func (m *fakeStore) store(r tasks.Record) tasks.Record {
	r.Version = m.newVersion()
	return m.keep(r)
}

// newVersion returns a revision that no write has. The caller has the lock.
func (m *fakeStore) newVersion() string {
	m.versions++
	return strconv.Itoa(m.versions)
}

func (m *fakeStore) keep(r tasks.Record) tasks.Record {
	m.jobs[r.Ref()] = r
	r.Now = time.Now()
	return r
}

func (m *fakeStore) Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return tasks.Record{}, err
	}
	r, ok := m.jobs[ref]
	if !ok {
		return r, fmt.Errorf("fakeStore: %s: %w", ref, tasks.ErrNotFound)
	}
	r.Now = time.Now()
	return r, nil
}

func (m *fakeStore) Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
	made, err := m.intend(r, by)
	if err != nil {
		return tasks.Record{}, err
	}
	return m.write(ctx, r, made, due)
}

func (m *fakeStore) UpdateProgress(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error) {
	made, _ := m.intend(r, "")
	return m.write(ctx, r, made, due)
}

// intend returns what a step, or a note, would make of a record.
func (m *fakeStore) intend(r tasks.Record, by tasks.Step) (made tasks.Record, err error) {
	made = r
	if by != "" {
		if made.State, err = tasks.Next(r.State, by); err != nil {
			return tasks.Record{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	made.Version = m.newVersion()
	return made, nil
}

func (m *fakeStore) write(ctx context.Context, r, made tasks.Record, due time.Duration) (tasks.Record, error) {
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
	case old.Version != r.Version || old.State != r.State:
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
	old.State, old.Progress, old.Due, old.Version = to, r.Progress, time.Time{}, made.Version
	if due > 0 {
		old.Due = now.Add(due)
	}
	return m.keep(old), nil
}

func (m *fakeStore) LockName(_ context.Context, r tasks.Record) (string, error) {
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

func (m *fakeStore) Claimed(_ context.Context, r tasks.Record, ids []string) (map[string]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	claimed := map[string]bool{}
	for _, id := range ids {
		claimed[id] = m.instances[id] != "" && m.instances[id] != r.ID
	}
	return claimed, nil
}

func (m *fakeStore) Taken(_ context.Context, r tasks.Record, keys []string) (map[string]bool, error) {
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
func (m *fakeStore) complete(c tasks.Completion) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.completions[c.BatchRef] = c
}

func (m *fakeStore) Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, there := m.completions[ref]
	if !there {
		return c, fmt.Errorf("fakeStore: %s: %w", ref, tasks.ErrNotFound)
	}
	return c, ctx.Err()
}

func (m *fakeStore) UpdateCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.completions[c.BatchRef].Version != c.Version {
		return tasks.ErrConflict
	}
	m.versions++
	c.Version, c.Callback = strconv.Itoa(m.versions), to
	m.completions[c.BatchRef] = c
	return nil
}

// fakeAPI is a cloud in a list, without the wire: names are not unique, and a call
// whose context has ended makes nothing.
type fakeAPI struct {
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

func (s *fakeAPI) CreateInstance(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
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

func (s *fakeAPI) stored(name string) string {
	if s.store == nil {
		return name
	}
	return s.store(name)
}

func (s *fakeAPI) add(channelType, name string) cams.Instance {
	i := cams.Instance{InstanceID: strconv.Itoa(1000 + len(s.instances)), ChannelType: channelType, InstanceName: name}
	s.instances = append(s.instances, i)
	s.listed = append(s.listed, time.Now().Add(s.lag))
	return i
}

func (s *fakeAPI) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
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
func (s *fakeAPI) made(name string) int {
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

// fakeLimiter is a limiter that lets everybody through and notes what it was asked. Its
// wait may be set.
type fakeLimiter struct {
	wait func(context.Context) error

	mu            sync.Mutex
	waits, urgent int
	rate          float64
	throttled     []time.Duration
}

func (g *fakeLimiter) Wait(ctx context.Context) (time.Duration, error) {
	g.mu.Lock()
	g.waits++
	g.mu.Unlock()
	if g.wait != nil {
		return 0, g.wait(ctx)
	}
	return 0, ctx.Err()
}

func (g *fakeLimiter) WaitUrgent(ctx context.Context) (time.Duration, error) {
	g.mu.Lock()
	g.urgent++
	g.mu.Unlock()
	return g.Wait(ctx)
}

func (g *fakeLimiter) Throttled(_ context.Context, d time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.throttled = append(g.throttled, d)
	return nil
}

func (g *fakeLimiter) SetRate(rate float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rate = rate
}
