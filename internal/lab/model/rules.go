package model

// Rule is something that must hold.
type Rule struct {
	Name string
	// Words say it in full.
	Words string
	// always checks one state, and change one step. A rule has one of them, but
	// for [Ends], which is about all states together.
	always func(c *Config, s *state) bool
	change func(c *Config, from, to *state) bool
}

// The names of the rules.
const (
	OneInstance = "one instance"
	Own         = "its own"
	Apart       = "apart"
	NoneMade    = "none made"
	Marked      = "marked"
	OnlyEdges   = "only edges"
	Final       = "final"
	Truth       = "truth"
	Undisputed  = "undisputed"
	Ends        = "ends"
	OncePerName = "once per name"
)

// each is a rule about each job by itself.
func each(ok func(c *Config, s *state, j uint8) bool) func(c *Config, s *state) bool {
	return func(c *Config, s *state) bool {
		for j := range uint8(c.Jobs) {
			if !ok(c, s, j) {
				return false
			}
		}
		return true
	}
}

// Rules returns what the protocol promises, and what its proof rests on.
func Rules() []Rule {
	return []Rule{
		{Name: OneInstance, Words: "a job makes at most one instance", always: each(func(_ *Config, s *state, j uint8) bool {
			return s.made(j) <= 1
		})},
		{Name: Own, Words: "a job that is recorded created has exactly one instance: the one it made, or an older one if it may adopt", always: each(func(c *Config, s *state, j uint8) bool {
			i := s.jobs[j].instance
			adopted := i == foreign && c.Old && c.Existing == ExistingAdopt && s.made(j) == 0
			return s.jobs[j].state != created || adopted || i == firstOf(j) && s.made(j) == 1
		})},
		{Name: Apart, Words: "no two jobs have the same instance", always: func(_ *Config, s *state) bool {
			return s.jobs[0].instance == none || s.jobs[0].instance != s.jobs[1].instance
		}},
		{Name: NoneMade, Words: "a job that is recorded failed or cancelled has made no instance", always: each(func(_ *Config, s *state, j uint8) bool {
			return s.jobs[j].state != failed && s.jobs[j].state != cancelled || s.made(j) == 0
		})},
		{Name: Marked, Words: "a request is on the wire only while its job is calling or uncertain", always: each(func(_ *Config, s *state, j uint8) bool {
			requests, _ := s.onWire(j)
			return requests == 0 || s.jobs[j].state == calling || s.jobs[j].state == uncertain
		})},
		{Name: OnlyEdges, Words: "every step that is taken is one of tasks.Edges", always: func(_ *Config, s *state) bool {
			return !s.strange
		}},
		{Name: Final, Words: "what is recorded of a job that has ended never changes, unless an operator gives a failed one another budget", change: func(c *Config, from, to *state) bool {
			for j := range from.jobs {
				a, b := &from.jobs[j], &to.jobs[j]
				retried := c.Operator && a.state == failed && b.state == queued
				if a.final() && !retried && (a.state != b.state || a.instance != b.instance) {
					return false
				}
			}
			return true
		}},
		{Name: Truth, Words: "the receiver is told of an end only if it is the one that is recorded, unless an operator reopens jobs", always: each(func(c *Config, s *state, j uint8) bool {
			ends := s.jobs[j].reported &^ (1 << held)
			return c.Operator || ends == 0 || ends == 1<<s.jobs[j].state
		})},
		{Name: Undisputed, Words: "the API never returns an instance that another job has", always: func(_ *Config, s *state) bool {
			return !s.disputed
		}},
		{Name: Ends, Words: "from everywhere there is a way, without a further fault, to where each job has ended or waits for an operator, and its receiver was told"},
	}
}

// Wish is a rule that one might expect, and that is not promised.
func Wish() Rule {
	return Rule{Name: OncePerName, Words: "two jobs of one name make at most one instance, with CAMSQ_EXISTING=fail", always: func(_ *Config, s *state) bool {
		return s.made(0)+s.made(1) <= 1
	}}
}

// ended says whether nothing is left to do: every job is final, or held, or waits
// for a name that a held job has.
func (c *Config) ended(s *state) bool {
	for j := range uint8(c.Jobs) {
		r := &s.jobs[j]
		holder := s.holder[c.name(j)]
		blocked := !c.Operator && holder != 0 && holder != j+1 && s.jobs[holder-1].state == held && r.state == queued
		if !r.final() && (r.state != held || c.Operator) && !blocked {
			return false
		}
		if c.Callbacks && jobStates[r.state].EventType() != "" && (r.owed || r.reported&(1<<r.state) == 0) {
			return false
		}
	}
	return true
}
