// Package ledger keeps the record of every job in Redis: the one place that
// decides whether a job may take a step.
//
// It promises that a record changes only by a step that [tasks.Edges] allows,
// only from the revision that the caller has read, and together with every index
// and counter that depends on it, in one script. A write whose reply was lost may
// be asked for again: it is applied once. The request is sealed, see package
// seal; IDs, batch names, codes and messages stand in clear.
//
// It refuses to know the protocol (that is package worker), and asynq (that is
// package enqueue). It needs a Redis that keeps its writes: an append-only file,
// and maxmemory-policy noeviction.
//
// # Layout
//
// Every key of an account shares the hash tag of the account's asynq queue, so
// that one script reaches all of them, on Redis Cluster too. With Q for
// {provision:ACCOUNT}:
//
//	camsq:Q:job:ID        string: the record, see below
//	camsq:Q:state:STATE   sorted set of IDs by the time they entered the state (queued, calling, uncertain, held, failed)
//	camsq:Q:count         hash: how many jobs are in each state; expired ones still count
//	camsq:Q:batch:NAME    hash: the same for one batch; why its jobs failed (code:CODE) and when it
//	                      started; closed and completed (how many jobs it had then, and when), completions
//	camsq:Q:batches       sorted set of batch names by their last job
//	camsq:Q:completions:NAME  hash: for each completion N what batch:NAME was then (N), and how far
//	                      its delivery got (N:callback), both JSON
//	camsq:Q:batches:owed  sorted set of NAME#N: completions whose callback is owed, by the time from which it is
//	camsq:Q:batches:dead  sorted set of NAME#N: completions whose callback was given up
//	camsq:Q:name:DIGEST   the ID of the job that holds this (ChannelType, InstanceName), in whichever form: see [tasks.NameKey]
//	camsq:Q:instance:ID   the ID of the job that has this instance
//	camsq:Q:owed          sorted set of IDs whose callback is owed, by the time from which it is
//	camsq:Q:dead          sorted set of IDs whose callback was given up
//	camsq:Q:lead:DUTY     the lock of the one process that sweeps, or reconciles
//	camsq:Q:lane          hash: what holds the account back (limit, paused…, tripped…, the probe): see [tasks.Lane]
//	camsq:Q:limit:ACTION  the account's limiter for an API action, see [LimitKey]
//	camsq:data-keys       set of the fingerprints of the data keys in use
//	camsq:format          hash: the lowest and the highest record format in use, see [Version]
//
// A batch is completed when its producer has closed it and no job of it is open; a
// held job is open. The script that ends the last job, or that closes the batch,
// notes so, keeps the facts of the event, and puts the completion among the owed:
// all in one step, so a process that dies after it loses nothing. A job that is put back
// takes completed away, and one more job makes both closed and completed differ from
// the number of jobs: then neither holds, and nothing has to be undone.
//
// A record is four parts with a line end between them: head, priority, progress (JSON)
// and the sealed request, which alone may have line ends in it. The head is
// "VERSION STATE REV SINCE DUE ENQUEUED BATCH", times in milliseconds on Redis's clock. The
// priority, nothing for normal, stands in clear, so that a job's queue is known without
// the data key; it never changes. A string and not a hash, since a hash with a value of
// more than 64 bytes costs some 140 bytes more, and takes longer to make.
package ledger
