package tasks

import "fmt"

// State is the state of a job. It changes only along [Edges].
type State string

const (
	// StateQueued means that no call is in flight and the worker may make one.
	StateQueued State = "queued"
	// StateCalling means that a call may be in flight: the worker writes it, durably,
	// before the first byte of the request, and only a confirmed answer clears it.
	StateCalling State = "calling"
	// StateUncertain means that a call may have created an instance, and the outcome is not known yet.
	StateUncertain State = "uncertain"
	// StateHeld means that only an operator can decide how the job ended.
	StateHeld State = "held"
	// StateCreated means that the job has its one instance. Final.
	StateCreated State = "created"
	// StateFailed means that the job has no instance and does not try again by itself. Final.
	StateFailed State = "failed"
	// StateCancelled means that an operator cancelled the job before it was called. Final.
	StateCancelled State = "cancelled"
)

// States lists every state in the order of a job's life.
func States() []State {
	return []State{StateQueued, StateCalling, StateUncertain, StateHeld, StateCreated, StateFailed, StateCancelled}
}

// Final reports whether the job has ended: no step leaves the state by itself.
func (s State) Final() bool {
	return s == StateCreated || s == StateFailed || s == StateCancelled
}

// EventType returns the webhook event that is owed when a job enters the state, or "".
func (s State) EventType() EventType {
	switch s {
	case StateCreated:
		return EventInstanceCreated
	case StateFailed:
		return EventInstanceFailed
	case StateHeld:
		return EventInstanceHeld
	case StateQueued, StateCalling, StateUncertain, StateCancelled:
	}
	return ""
}

// Step is the name of a transition from one state to another.
type Step string

const (
	StepBegin     Step = "begin"
	StepSucceeded Step = "succeeded"
	StepRejected  Step = "rejected"
	StepThrottled Step = "throttled"
	StepBlocked   Step = "blocked"
	StepUnsent    Step = "unsent"
	StepAmbiguous Step = "ambiguous"

	StepFound   Step = "found"
	StepSeveral Step = "several"
	StepAbsent  Step = "absent"
	StepUnfound Step = "unfound"

	StepExists Step = "exists"
	StepAdopt  Step = "adopt"
	StepChoose Step = "choose"
	StepSpent  Step = "spent"
	StepCancel Step = "cancel"

	StepResolveCreated Step = "resolve_created"
	StepResolveAbsent  Step = "resolve_absent"
	StepResolveFailed  Step = "resolve_failed"
	StepRetried        Step = "retried"
)

// Edge is one allowed step, with the reason for it.
type Edge struct {
	From State
	By   Step
	To   State
	Why  string
}

// edges is the whole life of a job. Each step is listed once for each state that it may
// leave, and leads from there to exactly one state.
var edges = []Edge{
	{StateQueued, StepBegin, StateCalling, "written before the request, so that no crash can forget it"},
	{StateQueued, StepExists, StateFailed, "an instance of that name existed before the first call (CAMSQ_EXISTING=fail)"},
	{StateQueued, StepAdopt, StateCreated, "the only instance of that name existed before the first call and is adopted (CAMSQ_EXISTING=adopt)"},
	{StateQueued, StepChoose, StateHeld, "several instances of that name existed before the first call, or one with a nearly equal name, or the API refuses the lookups of an earlier call; an operator must decide"},
	{StateQueued, StepFound, StateCreated, "the lookup before a call that an operator has allowed again found the instance of an earlier call"},
	{StateQueued, StepSeveral, StateHeld, "the same lookup found several new instances, or one with another name; an operator must decide"},
	{StateQueued, StepSpent, StateFailed, "the budget of tries or of time is spent"},
	{StateQueued, StepCancel, StateCancelled, "an operator cancelled the job"},

	{StateCalling, StepSucceeded, StateCreated, "the API returned an instance ID"},
	{StateCalling, StepRejected, StateFailed, "the API refused the request and would refuse it again"},
	{StateCalling, StepThrottled, StateQueued, "the API's flow control refused the call; costs no try"},
	{StateCalling, StepBlocked, StateQueued, "the account may not call now; costs no try"},
	{StateCalling, StepUnsent, StateQueued, "provably no byte was sent; costs a try, unless it was not certain that the mark was written"},
	{StateCalling, StepFound, StateCreated, "a lookup while the call may still be in flight found its instance"},
	{StateCalling, StepAmbiguous, StateUncertain, "no answer, an unreadable answer, a 5xx, or the worker died"},

	{StateUncertain, StepFound, StateCreated, "one instance of that name is new and belongs to no other job"},
	{StateUncertain, StepSeveral, StateHeld, "several new instances of that name, or one that the API returned under another name; an operator must decide"},
	{StateUncertain, StepAbsent, StateQueued, "no such instance for the whole settle window (CAMSQ_ABSENT=resend)"},
	{StateUncertain, StepUnfound, StateHeld, "no such instance for the whole settle window (CAMSQ_ABSENT=hold), or the API refuses the lookups of this job alone"},

	{StateHeld, StepResolveCreated, StateCreated, "an operator names the instance"},
	{StateHeld, StepResolveAbsent, StateQueued, "an operator confirms that there is none"},
	{StateHeld, StepResolveFailed, StateFailed, "an operator gives the job up"},

	{StateFailed, StepRetried, StateQueued, "an operator gives a failed job another budget"},
}

// Edges returns every allowed step. docs/state_machine.md is generated from it.
func Edges() []Edge {
	return append([]Edge(nil), edges...)
}

// Next returns the state to which a step leads from a state. For a step that is not among
// [Edges] the error is a [*StepError].
func Next(from State, by Step) (State, error) {
	for _, e := range edges {
		if e.From == from && e.By == by {
			return e.To, nil
		}
	}
	return "", &StepError{From: from, By: by}
}

// StepError says that a step is not allowed from a state.
type StepError struct {
	From State
	By   Step
}

func (e *StepError) Error() string {
	return fmt.Sprintf("tasks: step %q is not allowed from state %q", e.By, e.From)
}
