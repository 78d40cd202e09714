// Package enqueue is the library for producers: a Go backend puts CreateInstance jobs
// into the queue with a [Client]. Package rowfile below it reads jobs from files.
//
// It promises that a job's record and its asynq task are written in one atomic
// step, so an accepted job is never half there; that the same job sent again is
// the same job, however often; and that a job ID which stands for another
// request is refused. A job that is accepted is on the disk as far as Redis is.
//
// A job of [tasks.PriorityHigh] goes before its account's others. Priority and batch
// are no part of the request: a job that is there keeps those that it has.
//
// Jobs may name a batch. Whoever has sent the last job of it says so with
// [Client.CloseBatch]; the account's webhook receiver is told when all have ended.
//
// It refuses to call the API, and to judge whether a job may run: asynq decides
// when, the ledger decides whether.
package enqueue
