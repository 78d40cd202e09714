package camstest

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/camsq/camsq/cams"
)

// The key that a server knows if its Config names none.
const (
	KeyID     = "test-key-id"
	KeySecret = "test-key-secret"
)

// Config says who may call and how the server behaves. The zero value is a server
// with one key, no quota, no faults, and odd but correct answers.
type Config struct {
	// Keys maps access key ids to secrets. Each key is an account of its own, with its
	// own instances and quota. Defaults to KeyID and KeySecret.
	Keys map[string]string

	// Tokens maps the access key ids that are temporary to their security tokens.
	Tokens map[string]string

	// Seed decides everything that is random. Defaults to a random seed.
	Seed uint64

	// Quota is how many CreateInstance calls an account has in each second of the
	// clock, and ListQuota how many of each other operation. 0 is no limit.
	Quota     int
	ListQuota int

	// Latency is the longest that a request waits before anything happens; each waits
	// a random part of it. Defaults to 3 ms. Negative: none.
	Latency time.Duration

	// ListLag is how long a new instance is not found by ListInstance and QueryInstance.
	ListLag time.Duration

	// FaultRate is the share, 0 to 1, of calls that meet a random fault: one after which
	// a careful client can still reach its goal, and none that hangs.
	FaultRate float64

	// Calm gives plain answers: fields in order, of one type, none unknown, and no latency
	// unless Latency is set.
	Calm bool

	// Clock is the server's time, for tests of a wrong clock. Defaults to time.Now.
	Clock func() time.Time

	// OnRequest, if set, is called with each request that has passed authentication and
	// before anything happens. It may block.
	OnRequest func(op string, params url.Values)
}

// Server is the API. Its methods are safe for concurrent use. Make it with New.
type Server struct {
	config Config

	mu         sync.Mutex
	random     *rand.Rand
	nonces     map[string]time.Time
	windows    map[string]window
	instances  []record
	queued     map[string][]Fault // by operation
	named      map[string][]Fault // by instance name
	always     map[string]*Fault  // by operation
	calls      map[string]int
	throttled  int
	violations []string

	listening listening
}

// New returns a server that is ready as an [http.Handler], and in memory through
// ClientConfig, DialContext and Transport. Start opens a socket. Close ends them all.
func New(c Config) *Server {
	if len(c.Keys) == 0 {
		c.Keys = map[string]string{KeyID: KeySecret}
	}
	c.Keys, c.Tokens = maps.Clone(c.Keys), maps.Clone(c.Tokens)
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	if c.Latency == 0 && !c.Calm {
		c.Latency = 3 * time.Millisecond
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return &Server{
		config:    c,
		random:    rand.New(rand.NewPCG(c.Seed, 0)),
		nonces:    map[string]time.Time{},
		windows:   map[string]window{},
		queued:    map[string][]Fault{},
		named:     map[string][]Fault{},
		always:    map[string]*Fault{},
		calls:     map[string]int{},
		listening: listening{closed: make(chan struct{})},
	}
}

// Seed returns what to set Config.Seed to for the same decisions again.
func (s *Server) Seed() uint64 { return s.config.Seed }

// Created returns how many instances of that name exist, in all accounts.
func (s *Server) Created(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.instances {
		if r.InstanceName == name {
			n++
		}
	}
	return n
}

// Instances returns all instances of all accounts, the oldest first.
func (s *Server) Instances() []cams.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]cams.Instance, 0, len(s.instances))
	for _, r := range s.instances {
		list = append(list, r.Instance)
	}
	return list
}

// Calls returns how many requests named the operation, refused ones included.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Throttled returns how many requests were answered with a Throttling code.
func (s *Server) Throttled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.throttled
}

// Violations returns what clients did that none should: bad signatures, used nonces,
// methods other than POST, headers that make net/http repeat a request.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// SetQuota changes Config.Quota while the server runs.
func (s *Server) SetQuota(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Quota = perSecond
}

// ServeHTTP answers one request. A reply that is a lost connection panics with
// http.ErrAbortHandler if the ResponseWriter cannot be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op := r.Header.Get("x-acs-action")
	s.mu.Lock()
	s.calls[op]++
	s.mu.Unlock()

	account, params, refusal := s.admit(r)
	if refusal != nil {
		s.write(w, r, *refusal)
		return
	}
	if s.config.OnRequest != nil {
		s.config.OnRequest(op, params)
	}
	if !s.pause() {
		hangUp(w)
		return
	}
	s.write(w, r, s.act(account, op, params))
}

// act does what the request asks, as the quota and the faults allow.
func (s *Server) act(account, op string, params url.Values) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	operation, ok := map[string]func(string, url.Values, *Fault) reply{
		"CreateInstance": s.createInstance,
		"ListInstance":   s.listInstance,
		"QueryInstance":  s.queryInstance,
	}[op]
	if !ok {
		return s.refuse(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
	}
	if wait := s.overQuota(account, op); wait > 0 {
		return s.throttle(wait)
	}
	return operation(account, params, s.fault(op, params.Get("InstanceName")))
}

// pause waits a random part of the latency. It is not cut short by a client that goes
// away, since the cloud would not notice either. It returns false if the server closes.
func (s *Server) pause() bool {
	if s.config.Latency <= 0 {
		return true
	}
	s.mu.Lock()
	d := time.Duration(s.random.Int64N(int64(s.config.Latency) + 1))
	s.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.listening.closed:
		return false
	}
}

type window struct {
	second int64
	used   int
}

// overQuota books the call, or returns how long the account must wait. Limits are per
// account and operation, in windows of one second of the clock.
func (s *Server) overQuota(account, op string) time.Duration {
	limit := s.config.ListQuota
	if op == "CreateInstance" {
		limit = s.config.Quota
	}
	if limit <= 0 {
		return 0
	}
	now := s.config.Clock()
	w := s.windows[account+" "+op]
	if w.second != now.Unix() {
		w = window{second: now.Unix()}
	}
	if w.used >= limit {
		return time.Unix(w.second+1, 0).Sub(now)
	}
	w.used++
	s.windows[account+" "+op] = w
	return 0
}
