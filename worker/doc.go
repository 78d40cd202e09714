// Package worker processes jobs. A turn of a job has four steps: mark, call, classify,
// settle.
//
// The promise: each job creates at most one instance and ends in exactly one recorded
// outcome, whichever process dies at whichever line, as long as Redis keeps its writes and
// the API lists a new instance within the settle window. Four rules keep it:
//
//   - The worker writes the mark "a call may be in flight", durably, before it sends the
//     first byte of the request. Only a confirmed answer clears the mark.
//   - Unknown is an outcome of its own. It never triggers another call: the worker looks up
//     which instances exist, until the outcome is known.
//   - The queue cannot cancel a call or its settling.
//   - The budget of tries is in the record. asynq decides when a turn runs, the ledger
//     decides whether the turn may call: asynq may lose a task, run it twice, or run it
//     concurrently.
//
// The worker never repeats a call within a turn, never deletes an instance, and never ends
// a job for a fault of the account.
package worker
