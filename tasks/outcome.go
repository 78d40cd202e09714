package tasks

// Outcome is how one CreateInstance call ended. It is not a [State]: a job
// outlives its calls.
type Outcome uint8

const (
	// OutcomeAmbiguous means that the call may have made an instance: no answer,
	// an unreadable answer, or one that contradicts itself. It is the zero value,
	// so that an outcome that is not set never leads to another call.
	OutcomeAmbiguous Outcome = iota
	// OutcomeSucceeded means that the API returned an instance ID.
	OutcomeSucceeded
	// OutcomeRejected means that the API refused this request and would refuse it again.
	OutcomeRejected
	// OutcomeThrottled means that flow control turned the call away before it was carried out.
	OutcomeThrottled
	// OutcomeBlocked means that the account may not call now (credentials,
	// permission, subscription, balance). The job itself may be fine.
	OutcomeBlocked
	// OutcomeUnsent means that provably no byte of the request left.
	OutcomeUnsent
)

// Outcomes lists every outcome, for metrics and exhaustive tests.
func Outcomes() []Outcome {
	return []Outcome{OutcomeAmbiguous, OutcomeSucceeded, OutcomeRejected, OutcomeThrottled, OutcomeBlocked, OutcomeUnsent}
}

// String returns the outcome's name as it stands in logs and metric labels.
// An unknown value reads "ambiguous", since that is how it is treated.
func (o Outcome) String() string {
	switch o {
	case OutcomeSucceeded:
		return "succeeded"
	case OutcomeRejected:
		return "rejected"
	case OutcomeThrottled:
		return "throttled"
	case OutcomeBlocked:
		return "blocked"
	case OutcomeUnsent:
		return "unsent"
	case OutcomeAmbiguous:
	}
	return "ambiguous"
}

// Step is the step that this outcome makes a calling job take.
func (o Outcome) Step() Step {
	return Step(o.String())
}

// CostsTry says whether the outcome spends one of the job's tries. Being turned
// away at the door, or by a fault of the account, does not.
func (o Outcome) CostsTry() bool {
	return o != OutcomeThrottled && o != OutcomeBlocked
}
