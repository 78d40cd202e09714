// Package queue is camsq's use of asynq: it writes jobs' records and tasks in one atomic
// step, puts lost tasks back, and reads how an account's queues stand.
//
// asynq decides when a task runs; the ledger decides whether its job is called. So a
// second task of a job does no harm, and a lost one is put back by the sweeper.
package queue
