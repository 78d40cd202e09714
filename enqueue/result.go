package enqueue

import (
	"fmt"

	"github.com/camsq/camsq/tasks"
)

// Status says what became of a job that was sent.
type Status string

const (
	// StatusQueued means that the job is new and now waits for a worker.
	StatusQueued Status = "queued"
	// StatusKnown means that the same job was there already; nothing was done.
	StatusKnown Status = "known"
	// StatusConflict means that its ID stands for another request; it was refused.
	StatusConflict Status = "conflict"
	// StatusUnreadable means that there is a job of its ID whose record this process
	// cannot read: whether it is the same is not known, and nothing was done. Send
	// the job again, as it is, with what can read it; another ID would make a second job.
	StatusUnreadable Status = "unreadable"
	// StatusInvalid means that the job breaks a rule; it was refused.
	StatusInvalid Status = "invalid"
)

// Result is what became of one job.
type Result struct {
	// Job is the job as it is kept: see [tasks.Job.Normalize]. Of a known one it holds
	// the priority that the job has, whichever it was sent with this time.
	Job    tasks.Job
	Status Status
	// State is where the job stood when it was sent: queued for a new one.
	State tasks.State
	// Err is nil for queued and known jobs; a [*ConflictError], an
	// [*UnreadableError], a [*tasks.InvalidError], or the error that came with the job in the sequence.
	Err error
}

// ConflictError means that a job ID is taken by another request.
type ConflictError struct {
	Ref   tasks.Ref
	State tasks.State
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("enqueue: job %s is there already (%s) with another request; give this one an ID of its own, or send the same request", e.Ref, e.State)
}

// UnreadableError means that the job of this ID which is there already cannot be read.
type UnreadableError struct {
	Ref tasks.Ref
	// Err wraps [tasks.ErrUnreadable] and says why.
	Err error
}

// Unwrap returns Err.
func (e *UnreadableError) Unwrap() error { return e.Err }

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("enqueue: job %s is there already and cannot be compared; send it again, with the same ID, once it can be read: %v", e.Ref, e.Err)
}

// Summary counts what became of many jobs.
type Summary struct {
	Queued, Known, Conflict, Unreadable, Invalid int
	// Ended is how many of the known ones have ended.
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
