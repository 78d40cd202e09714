package tasks

import (
	"errors"
	"time"
)

// The types of the asynq tasks. A task's payload names its job, or its batch, and
// holds nothing else: the request stands once, in the record.
const (
	// TypeCreateInstance is a turn of a job. Its payload is the job's ID; the queue names the account.
	TypeCreateInstance = "instance:create"
	// TypeDeliverCallback delivers a job's outcome. Its payload is a [Ref].
	TypeDeliverCallback = "callback:deliver"
	// TypeDeliverBatch delivers that a batch was completed. Its payload is a [BatchRef].
	TypeDeliverBatch = "callback:batch"
)

// TurnTimeout is the time after which asynq takes a turn for lost and gives the
// job to another. Turns end long before; one that does not is harmless, since the
// ledger decides.
const TurnTimeout = time.Hour

// QueueCallback is the asynq queue of every callback.
const QueueCallback = "callback"

// ProvisionQueue is the asynq queue of an account's jobs.
func ProvisionQueue(account string) string { return "provision:" + account }

// HighQueue is the asynq queue of an account's jobs of [PriorityHigh]. asynq puts
// the queue's name between braces, and Redis Cluster hashes what stands between
// the first brace and the first closing one: so the brace in this name puts both
// queues of an account, and its records, into one slot.
func HighQueue(account string) string { return ProvisionQueue(account) + "}:high" }

// JobQueue is the asynq queue of an account's jobs of a priority.
func JobQueue(account string, p Priority) string {
	if p == PriorityHigh {
		return HighQueue(account)
	}
	return ProvisionQueue(account)
}

// WakeChannel is the Redis channel on which a producer says that there is work:
// the message is the name of the asynq queue, or [LaneMessage] of an account whose
// lane was paused, resumed, tripped or limited. It is a hint: a message can
// be lost, and a listener also polls.
const WakeChannel = "camsq:wake"

// LaneMessage is what is said on [WakeChannel] when an account's [Lane] has changed.
func LaneMessage(account string) string { return "lane:" + account }

// What a ledger answers instead of a record.
var (
	// ErrNotFound means that there is no such job: it never was, or it ended
	// longer ago than records are kept.
	ErrNotFound = errors.New("there is no such job")
	// ErrConflict means that the record has changed since it was read; read it again.
	ErrConflict = errors.New("the job's record has changed meanwhile")
	// ErrClaimed means that another job already has the instance.
	ErrClaimed = errors.New("another job has this instance")
	// ErrUnreadable means that the record is damaged, from a version that this process
	// does not read, or sealed with a data key that this process was not given. The job waits.
	ErrUnreadable = errors.New("the job's record cannot be read")
)
