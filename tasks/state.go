package tasks

import "fmt"

// State is where a job stands. The only ways from one state to another are [Edges].
type State string

const (
	// StateQueued means that no call is on the wire and another may be made.
	StateQueued State = "queued"
	// StateCalling means that a call may be on the wire: it is written, durably,
	// before the first byte of the request, and only knowledge takes it away.
	StateCalling State = "calling"
	// StateUncertain means that a call may have made an instance, and the outcome is not known yet.
	StateUncertain State = "uncertain"
	// StateHeld means that only a person can tell how the job ended.
	StateHeld State = "held"
	// StateCreated means that the job has its one instance. Final.
	StateCreated State = "created"
	// StateFailed means that the job has no instance and will not try again by itself. Final.
	StateFailed State = "failed"
	// StateCancelled means that an operator cancelled the job before it was called. Final.
	StateCancelled State = "cancelled"
)

// States lists every state in the order of a job's life.
func States() []State {
	return []State{StateQueued, StateCalling, StateUncertain, StateHeld, StateCreated, StateFailed, StateCancelled}
}

// Final says whether the state is an end that no step leaves by itself.
func (s State) Final() bool {
	return s == StateCreated || s == StateFailed || s == StateCancelled
}

// EventType is the webhook event that entering the state owes to the receiver,
// or "" where it owes none.
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

// Step is the name of a move from one state to another.
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

// edges is the whole life of a job. Each step stands here once for each state
// that it may leave, and leads from there to one state only.
var edges = []Edge{
	{StateQueued, StepBegin, StateCalling, "written before the request, so that no crash can forget it"},
	{StateQueued, StepExists, StateFailed, "an instance of that name stood there before the first call (CAMSQ_EXISTING=fail)"},
	{StateQueued, StepAdopt, StateCreated, "the one instance of that name that stood there before is taken (CAMSQ_EXISTING=adopt)"},
	{StateQueued, StepChoose, StateHeld, "several instances of that name stood there before, or one under a name that is nearly its own, or the looks for an earlier call are refused; a person must choose"},
	{StateQueued, StepFound, StateCreated, "the look before a call that a person allowed again: the instance of an earlier call turned up"},
	{StateQueued, StepSeveral, StateHeld, "the same look: several new instances, or one under another name; only a person can tell"},
	{StateQueued, StepSpent, StateFailed, "the budget of tries or of time is spent"},
	{StateQueued, StepCancel, StateCancelled, "an operator cancelled the job"},

	{StateCalling, StepSucceeded, StateCreated, "the API returned an instance ID"},
	{StateCalling, StepRejected, StateFailed, "the API said no and would say no again"},
	{StateCalling, StepThrottled, StateQueued, "the API said not now; costs no try"},
	{StateCalling, StepBlocked, StateQueued, "the account may not call now; costs no try"},
	{StateCalling, StepUnsent, StateQueued, "provably no byte left; costs a try, but not if the mark itself was not certain"},
	{StateCalling, StepFound, StateCreated, "a look while the call may still be on the wire: its instance is there already"},
	{StateCalling, StepAmbiguous, StateUncertain, "no answer, an unreadable answer, a 5xx, or the caller died"},

	{StateUncertain, StepFound, StateCreated, "one instance of that name is new and claimed by no other job"},
	{StateUncertain, StepSeveral, StateHeld, "several new instances of that name, or one that the API returned for it under another name; only a person can tell"},
	{StateUncertain, StepAbsent, StateQueued, "no such instance for the whole settle window (CAMSQ_ABSENT=resend)"},
	{StateUncertain, StepUnfound, StateHeld, "no such instance for the whole settle window (CAMSQ_ABSENT=hold), or the looks are refused for this job alone"},

	{StateHeld, StepResolveCreated, StateCreated, "a person names the instance"},
	{StateHeld, StepResolveAbsent, StateQueued, "a person knows that there is none"},
	{StateHeld, StepResolveFailed, StateFailed, "a person gives the job up"},

	{StateFailed, StepRetried, StateQueued, "a person gives a failed job another budget"},
}

// Edges returns every allowed step. docs/state_machine.md is generated from it.
func Edges() []Edge {
	return append([]Edge(nil), edges...)
}

// Next returns the state that a step leads to from a state. A step that is not
// among [Edges] is a [*StepError].
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
