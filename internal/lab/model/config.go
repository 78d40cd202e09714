package model

// Existing is CAMSQ_EXISTING.
type Existing uint8

// What a name that exists before the first call gets.
const (
	ExistingFail Existing = iota
	ExistingAdopt
	ExistingCreate
)

// Flaw is a mistake in the protocol, or an assumption that does not hold.
type Flaw uint8

// The flaws. [Sound] is the protocol as it is.
const (
	Sound Flaw = iota

	MarkAfterCall    // the mark is written when the call is over
	MarkOnTimer      // a mark whose deadline has passed is taken away: the job is queued
	JudgeAtOnce      // a turn that finds a mark judges, without waiting for its deadline
	RetryOnTimeout   // an uncertain call is made again
	NoBaseline       // no lookup of what existed before the call
	NoInstanceClaims // no check whether another job has the instance
	NoNameLock       // two jobs of one name may call at once
	BlindSettle      // how a call ended is written without comparing revisions
	NoSweeper        // lost tasks are not put back
	UnmarkAny        // a mark whose reply was lost is taken back whosever mark stands

	LateList     // the settle window may end before an instance is listed
	FrozenSend   // a process that was frozen past its deadline sends all the same
	RedisForgets // Redis loses a write: the mark
	Stranger     // another program makes an instance of the same name meanwhile
)

// Config is what is explored. The number of crashes, losses, deliveries and
// throttled calls has no bound: what bounds the states are two workers, the jobs,
// and the tries of each.
type Config struct {
	// Jobs is 1 or 2. SameName gives both one name.
	Jobs     int
	SameName bool
	// Tries is CAMSQ_MAX_TRIES.
	Tries int
	// Old has an instance of the first job's name stand there from the start.
	Old      bool
	Existing Existing
	// Hold is CAMSQ_ABSENT=hold.
	Hold bool
	// Callbacks models the telling of outcomes. Without it no outcome is reported.
	Callbacks bool
	// Operator lets an operator who knows the truth resolve what is held and cancel what is queued.
	Operator bool
	Flaw     Flaw
}

// start is the state in which both jobs have just been enqueued.
func (c *Config) start() state {
	var s state
	for j := range s.jobs {
		s.jobs[j].instance = none
		if j < c.Jobs {
			s.jobs[j].task = true
		} else {
			s.jobs[j].state = cancelled
		}
	}
	if c.Old {
		s.instances[foreign] = listed
	}
	return s
}

// name is the name of a job.
func (c *Config) name(j uint8) uint8 {
	if c.SameName {
		return 0
	}
	return j
}

// visible are the instances of the job's name that the API lists.
func (c *Config) visible(s *state, j uint8) (found set) {
	for i, l := range s.instances {
		name := uint8(0) // the foreign one's
		if i != foreign {
			name = c.name(uint8(i-1) / perJob)
		}
		if l == listed && name == c.name(j) {
			found |= 1 << i
		}
	}
	return found
}

// free drops the instances that other jobs have.
func (c *Config) free(s *state, j uint8, of set) set {
	for i := range none {
		if c.Flaw != NoInstanceClaims && s.claimed(i, j) {
			of &^= 1 << i
		}
	}
	return of
}
