// Package enqueue is the library for producers: a Go backend puts CreateInstance jobs
// into the queue with a [Client]. Package rowfile below it reads jobs from files.
//
// It promises that a job's record and its asynq task are written in one atomic step, so
// that a job is written wholly or not at all; that the same job sent again is one job;
// and that it refuses a job ID that belongs to another request. An accepted job is as
// durable as Redis is.
//
// Workers take a job of [tasks.PriorityHigh] before the account's others. Priority and
// batch are no part of the request: an existing job keeps its own.
//
// Jobs may name a batch. The producer calls [Client.CloseBatch] after the last job of it;
// the account's webhook receiver gets an event when all have ended.
//
// It does not call the API, and does not decide whether a job may run: asynq decides
// when, the ledger decides whether.
package enqueue
