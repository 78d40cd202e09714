// Package worker carries out a job's turn: mark, call, classify, settle.
//
// It promises that each job creates at most one instance and ends in exactly one
// recorded outcome, whatever dies in between, as long as Redis keeps its writes
// and the API shows a new instance in its list within the settle window. It holds
// by four rules:
//
//   - The mark "a call may be on the wire" is written, durably, before a byte of
//     the request, and only knowledge takes it away.
//   - Unknown is an outcome of its own, and it never calls again: the API is asked
//     which instances there are, until that is known.
//   - Call and settling cannot be cancelled by the queue.
//   - The budget of tries is in the record. asynq decides when a turn is taken,
//     the ledger decides whether: any task may be lost, doubled or run beside itself.
//
// It refuses to retry a call within a turn, to delete an instance, and to end a
// job for a fault that is the account's.
package worker
