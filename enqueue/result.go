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
	// Err is nil for queued and known jobs; a [*ConflictError], a
	// [*tasks.InvalidError], or the error that came with the job in the sequence.
	Err error
}

// ConflictError means that a job ID is taken by another request.
type ConflictError struct {
	Ref   tasks.Ref
	State tasks.State
	// Err is why the two requests could not be compared, or nil if they differ.
	Err error
}

// Unwrap returns Err.
func (e *ConflictError) Unwrap() error { return e.Err }

func (e *ConflictError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("enqueue: job %s is there already, and nobody can tell whether with this request: %v", e.Ref, e.Err)
	}
	return fmt.Sprintf("enqueue: job %s is there already (%s) with another request; give this one an ID of its own, or send the same request", e.Ref, e.State)
}

// Summary counts what became of many jobs.
type Summary struct {
	Queued, Known, Conflict, Invalid int
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
	case StatusInvalid:
		s.Invalid++
	}
}
