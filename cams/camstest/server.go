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

	// Quota is how many CreateInstance calls an account has a second, and ListQuota how
	// many of each other operation. 0 is no limit.
	Quota     int
	ListQuota int

	// QuotaModel says how they are counted. Defaults to QuotaWindow; New panics if there
	// is no such model.
	QuotaModel QuotaModel

	// Burst is how many calls the bucket of QuotaBucket holds. Defaults to a tenth of a
	// second's worth, and at least one.
	Burst int

	// NoRetryAfter leaves x-acs-retry-after out of answers that say Throttling.
	NoRetryAfter bool

	// Jitter is the longest that a request is on its way in, before it counts against the
	// quota; each takes a random part of it. Defaults to none.
	Jitter time.Duration

	// Latency is the longest that a request within its quota waits before anything
	// happens; each waits a random part of it. Defaults to 3 ms. Negative: none.
	Latency time.Duration

	// ListLag is how long a new instance is not found by ListInstance and QueryInstance.
	ListLag time.Duration

	// FaultRate is the share, 0 to 1, of calls that meet a random fault: one after which
	// a careful client can still reach its goal, and none that hangs.
	FaultRate float64

	// StoreName says how an instance's name is kept: lists and QueryInstance show what it
	// returns, and the answer to a create the name that it asked for (Fault.Answer shows
	// another). [Server.Created] still counts by the name that was asked for. Defaults to
	// the name as it is; StoreForm has other ways.
	StoreName func(string) string

	// FilterStored makes a list's filter look for the stored form of the name that it is
	// given, and not for the name itself.
	FilterStored bool

	// Rules decide what calls meet that meet no fault of Next, FailName and Always: the
	// first that fits.
	Rules []Rule

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

	mu           sync.Mutex
	random       *rand.Rand
	nonces       nonces
	meters       map[string]meter // by account and operation
	instances    []record         // the oldest first
	byID         map[string]int   // positions in instances
	byName       nameIndex
	queued       map[string][]Fault // by operation
	faultsByName map[string][]Fault // by instance name
	always       map[string]*Fault  // by operation
	rules        []*ruleState
	rates        map[string]pace // by account and operation
	calls        map[string]int  // by operation
	throttled    map[string]int  // by operation
	violations   []string

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
	if c.QuotaModel == "" {
		c.QuotaModel = QuotaWindow
	}
	if !c.QuotaModel.Known() {
		panic("camstest: there is no QuotaModel " + string(c.QuotaModel))
	}
	s := &Server{
		config:       c,
		random:       rand.New(rand.NewPCG(c.Seed, 0)),
		nonces:       nonces{},
		meters:       map[string]meter{},
		byID:         map[string]int{},
		byName:       nameIndex{},
		queued:       map[string][]Fault{},
		faultsByName: map[string][]Fault{},
		always:       map[string]*Fault{},
		rates:        map[string]pace{},
		calls:        map[string]int{},
		throttled:    map[string]int{},
		listening:    listening{closed: make(chan struct{})},
	}
	s.SetRules(c.Rules)
	return s
}

// Seed returns what to set Config.Seed to for the same decisions again.
func (s *Server) Seed() uint64 { return s.config.Seed }

// Created returns how many instances exist, in all accounts, for which that name was
// asked, whatever name they are stored under. Those of Add count by the name they have.
func (s *Server) Created(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.instances {
		if r.requested == name {
			n++
		}
	}
	return n
}

// Instances returns all instances of all accounts as they are stored, the oldest first.
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
	n := 0
	for _, of := range s.throttled {
		n += of
	}
	return n
}

// ThrottledCalls returns how many of an operation's requests were answered so.
func (s *Server) ThrottledCalls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.throttled[op]
}

// Violations returns what clients did that none should: bad signatures, used nonces,
// methods other than POST, headers that make net/http repeat a request.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// SetQuota changes Config.Quota while the server runs. Calls that count already stay
// counted.
func (s *Server) SetQuota(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Quota = perSecond
}

// Quota returns the Config.Quota that is in force.
func (s *Server) Quota() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.Quota
}

// call is a request that has been admitted.
type call struct {
	op, account string
	params      url.Values
	arrived     time.Time
}

// ServeHTTP answers one request. A reply that is a lost connection panics with
// http.ErrAbortHandler if the ResponseWriter cannot be hijacked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{op: r.Header.Get("x-acs-action"), arrived: s.config.Clock()}
	s.mu.Lock()
	s.calls[c.op]++
	s.mu.Unlock()

	if refusal := s.admit(r, &c); refusal != nil {
		s.write(w, r, *refusal)
		return
	}
	if s.config.OnRequest != nil {
		s.config.OnRequest(c.op, c.params)
	}
	out, closed := s.answer(c)
	if closed {
		hangUp(w)
		return
	}
	s.write(w, r, out)
}

// operations are what the server knows to do. Each is called with mu held.
var operations = map[string]func(*Server, call, *Fault) reply{
	"CreateInstance": (*Server).createInstance,
	"ListInstance":   (*Server).listInstance,
	"QueryInstance":  (*Server).queryInstance,
}

// answer takes the request in, counts it, and does what it asks, as the quota and the
// faults allow. closed means that the server was closed meanwhile.
func (s *Server) answer(c call) (out reply, closed bool) {
	if !s.pause(s.config.Jitter) {
		return reply{}, true
	}
	if refusal := s.count(c); refusal != nil {
		return *refusal, false
	}
	if !s.pause(s.config.Latency) {
		return reply{}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out = operations[c.op](s, c, s.fault(c))
	if out.throttled {
		s.throttled[c.op]++
	}
	return out, false
}

// count counts the call against its quota, or refuses it.
func (s *Server) count(c call) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if operations[c.op] == nil {
		out := s.refuse(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
		return &out
	}
	wait := s.overQuota(c.account, c.op)
	if wait <= 0 {
		return nil
	}
	s.throttled[c.op]++
	out := s.throttle(wait)
	return &out
}

// pause waits a random part of the time. It is not cut short by a client that goes
// away, since the cloud would not notice either. It returns false if the server closes.
func (s *Server) pause(longest time.Duration) bool {
	if longest <= 0 {
		return true
	}
	s.mu.Lock()
	d := time.Duration(s.random.Int64N(int64(longest) + 1))
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
