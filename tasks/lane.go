package tasks

import "time"

// Lane is what holds an account back, for all processes together. It stands in
// Redis; its times are on Redis's clock.
type Lane struct {
	Account string
	// Now is when the lane was read.
	Now time.Time
	// Limit is the rate, in creates a second, that an operator has set in the place of
	// the configured one; 0 if there is no limit.
	Limit float64
	// Pause is set while an operator has stopped the account; nil otherwise.
	Pause *Pause
	// Trip is set while the API refuses the account; nil otherwise.
	Trip *Trip
}

// Pause is why an account makes no new call: an operator said so.
type Pause struct {
	Since time.Time
	// Why is what the person wrote. It may be empty.
	Why string
}

// Trip is why an account makes no call but probes: the API refused it for a fault
// that is the account's and not the job's, or the API is away.
type Trip struct {
	Since time.Time
	// Away says that the API refused nothing: it cannot be reached, does not answer, or
	// answers with nothing but faults of its own.
	Away bool
	// Action is the API action that failed, Code and Message how. The message holds
	// nothing personal.
	Action, Code, Message string
	// Probes is how many calls have been refused since, the first one included, and
	// ProbeAt when the next one may be made.
	Probes  int
	ProbeAt time.Time
	// Prober is the ID of the job whose turn is the probe; empty if none is under way.
	Prober string
	// Witness is the ID of the one job that has failed since it tripped, or of the last one
	// that had been refused before and probed again; empty if others failed after it. As
	// long as there is one, the fault may be that job's own, and any other that has not been
	// refused yet may probe at once.
	Witness string
}

// ProbeID identifies the turn that probes an account whose breaker is open. Another turn
// of the same job may run beside it, so the job alone does not.
type ProbeID struct {
	// Ref is the job.
	Ref
	// Turn distinguishes the turns of the job. It holds no "#".
	Turn string
}

// Depth is what of an account stands in asynq's queues.
type Depth struct {
	// Normal and High are how many tasks can be taken now, by queue.
	Normal, High int64
	// Active is how many have been taken, by any process.
	Active int64
	// Due is when the first of those that come back later does; zero if there is none.
	Due time.Time
}
