package enqueue

import (
	"fmt"

	"github.com/camsq/camsq/tasks"
)

// Status is the result of sending a job.
type Status string

const (
	// StatusQueued means that the job is new and queued.
	StatusQueued Status = "queued"
	// StatusKnown means that the same job existed already; nothing was written.
	StatusKnown Status = "known"
	// StatusConflict means that a job with this ID and another request exists; the job was
	// refused.
	StatusConflict Status = "conflict"
	// StatusUnreadable means that a job with this ID exists whose record this process
	// cannot read: it may be the same job, and nothing was written. Send the job again,
	// unchanged, from a process that can read it; another ID would make a second job.
	StatusUnreadable Status = "unreadable"
	// StatusInvalid means that the job breaks a rule; it was refused.
	StatusInvalid Status = "invalid"
)

// Result is the result of one job.
type Result struct {
	// Job is the job as stored: see [tasks.Job.Normalize]. A known one has its stored
	// priority, whichever it was sent with this time.
	Job    tasks.Job
	Status Status
	// State is the job's state when it was sent: queued for a new one.
	State tasks.State
	// Err is nil for queued and known jobs; a [*ConflictError], an
	// [*UnreadableError], a [*tasks.InvalidError], or the error that came with the job in the sequence.
	Err error
}

// ConflictError means that another request has this job ID.
type ConflictError struct {
	Ref   tasks.Ref
	State tasks.State
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("enqueue: job %s exists (%s) with another request; give this one an ID of its own, or send the same request", e.Ref, e.State)
}

// UnreadableError means that the existing job with this ID cannot be read.
type UnreadableError struct {
	Ref tasks.Ref
	// Err wraps [tasks.ErrUnreadable] with the reason.
	Err error
}

// Unwrap returns Err.
func (e *UnreadableError) Unwrap() error { return e.Err }

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("enqueue: job %s exists and cannot be compared; send it again, with the same ID, once it can be read: %v", e.Ref, e.Err)
}

// Summary counts the results of many jobs.
type Summary struct {
	Queued, Known, Conflict, Unreadable, Invalid int
	// Ended is how many of the known jobs have ended.
	Ended int
}

func (s *Summary) add(r Result) {
	switch r.Status {
	case StatusQueued:
		s.Queued++
	case StatusKnown:
		s.Known++
		if r.State.Final() {
			s.Ended++
		}
	case StatusConflict:
		s.Conflict++
	case StatusUnreadable:
		s.Unreadable++
	case StatusInvalid:
		s.Invalid++
	}
}
