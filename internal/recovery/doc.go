// Package recovery brings back what a lost task or a dead worker has left behind.
//
//   - The [Sweeper] compares the ledger with asynq's queues and queues the tasks that the
//     queues have lost: those of jobs, and those of callbacks.
//   - The [Reconciler] processes calling and uncertain jobs as soon as they are due, and
//     does not wait for their tasks.
//   - The [LeaseWatcher] gives the tasks of dead workers back to their queues.
//
// Each of them may run in every process, and die at any line: the ledger decides what a
// task that is queued twice may do, and another process does what this one left undone.
package recovery

import "time"

// snoozer is an error of a job that only has to be processed again later.
type snoozer interface {
	error
	Snooze() time.Duration
}
