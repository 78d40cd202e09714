package model

import "github.com/camsq/camsq/tasks"

// jobState is a [tasks.State] in one byte.
type jobState uint8

const (
	queued jobState = iota
	calling
	uncertain
	held
	created
	failed
	cancelled
)

var jobStates = [...]tasks.State{
	queued: tasks.StateQueued, calling: tasks.StateCalling, uncertain: tasks.StateUncertain, held: tasks.StateHeld,
	created: tasks.StateCreated, failed: tasks.StateFailed, cancelled: tasks.StateCancelled,
}

// step is a [tasks.Step] in one byte.
type step uint8

const (
	begin step = iota
	succeeded
	rejected
	throttled
	unsent
	ambiguous
	found
	several
	absent
	unfound
	exists
	adopt
	choose
	spent
	cancel
	resolveCreated
	resolveAbsent
	resolveFailed
	retried
)

// moves says where each step of the model leads. Every one that is taken is
// compared with [tasks.Next].
var moves = [...]struct {
	by tasks.Step
	to jobState
}{
	begin:          {tasks.StepBegin, calling},
	succeeded:      {tasks.StepSucceeded, created},
	rejected:       {tasks.StepRejected, failed},
	throttled:      {tasks.StepThrottled, queued},
	unsent:         {tasks.StepUnsent, queued},
	ambiguous:      {tasks.StepAmbiguous, uncertain},
	found:          {tasks.StepFound, created},
	several:        {tasks.StepSeveral, held},
	absent:         {tasks.StepAbsent, queued},
	unfound:        {tasks.StepUnfound, held},
	exists:         {tasks.StepExists, failed},
	adopt:          {tasks.StepAdopt, created},
	choose:         {tasks.StepChoose, held},
	spent:          {tasks.StepSpent, failed},
	cancel:         {tasks.StepCancel, cancelled},
	resolveCreated: {tasks.StepResolveCreated, created},
	resolveAbsent:  {tasks.StepResolveAbsent, queued},
	resolveFailed:  {tasks.StepResolveFailed, failed},
	retried:        {tasks.StepRetried, queued},
}

// endsCall says whether the step records how a call ended.
func (s step) endsCall() bool { return succeeded <= s && s <= ambiguous }

// isEdge says whether the step may lead from one state to the other.
func isEdge(from jobState, by step, to jobState) bool {
	next, err := tasks.Next(jobStates[from], moves[by].by)
	return err == nil && next == jobStates[to]
}

const (
	jobs      = 2
	workers   = 2
	perJob    = 2               // instances that one job may make before the model stops counting
	instances = 1 + jobs*perJob // the first is foreign: it stood there before, or a stranger made it
	foreign   = 0
	none      = uint8(instances) // no instance
)

// listing is how far the API has come with an instance.
type listing uint8

const (
	unmade  listing = iota
	hidden          // made, and not listed yet
	pledged         // the same, and the open settle window will not end before it is listed
	listed
)

// set is a set of instances, one bit each.
type set uint8

func (s set) only() (i uint8, one bool) {
	for i := range none {
		if s == 1<<i {
			return i, true
		}
	}
	return none, false
}

// job is a record, its two tasks, and its requests that no process waits for any more.
type job struct {
	state jobState
	tries uint8
	// over says that the call's deadline (calling) or the settle window (uncertain) has passed.
	over bool
	// hasBaseline says that baseline is known, doubted that a call once had no answer.
	hasBaseline, doubted bool
	baseline             set
	instance             uint8
	// owed: the receiver has not acknowledged the outcome. reported: the
	// states whose callback it got.
	owed     bool
	reported uint8
	// task and callback say that the queue has a task for a turn, and for a delivery.
	task, callback bool
	// adrift and adriftPledged count requests that may still be carried out, and those
	// of them that were on the wire when the job became uncertain.
	adrift, adriftPledged uint8
	// mark says that a mark of a worker that died lies in a socket and will be applied
	// if the record is not written before; markBaseline is what it says.
	mark         bool
	markBaseline set
}

// lookupFirst says that the instance of an earlier call must be looked up before
// the next call.
func (j *job) lookupFirst() bool { return j.doubted && j.tries == 0 }

// renew is what an operator's retry does to a record.
func (j *job) renew() {
	j.tries, j.owed, j.hasBaseline = 0, false, j.doubted
	if !j.doubted {
		j.baseline = 0
	}
}

func (j *job) final() bool { return jobStates[j.state].Final() }

// pc is the next thing that a worker does.
type pc uint8

const (
	idle         pc = iota
	claim           // take the name
	list            // take the baseline
	lookupFirst     // list the instances, since an operator has put the job back
	lookupEarly     // list the instances while a call may be on the wire
	write           // write the step that it has in hand
	send            // send the request
	wait            // wait for the answer
	unmark          // take back the mark whose reply did not come
	reread          // after a conflict, with an instance in hand
	lookup          // list the instances for recovery
	report          // queue the callback
	ack             // tell the queue that the turn is done
	post            // send the webhook
	noteDelivery    // note that it was delivered
	ackDelivery     // tell the queue that the delivery is done
)

// worker is what a process knows in the middle of a turn. All of it is gone when
// the process dies.
type worker struct {
	pc  pc
	job uint8
	by  step
	// instance is the one that the step records; baseline what it listed before its call.
	instance uint8
	baseline set
	// current says that the revision it has read is still the record's.
	current bool
	// applied says that the write in hand was applied and its reply was lost, adrift
	// that it lies in a socket and may be applied yet, though the worker has given it up.
	applied, adrift bool
	// won says that the API has returned the instance to this very worker.
	won bool
	// late says that its call's deadline has passed, over that the settle window had when it read.
	late, over bool
	// pledged says that its request was on the wire when the job became uncertain.
	pledged bool
	// state is what it reports to the receiver.
	state jobState
}

// state is everything: two workers, the records, the queue, the cloud.
type state struct {
	workers   [workers]worker
	jobs      [jobs]job
	instances [instances]listing
	// holder is one more than the job that holds each name; 0 is none.
	holder [jobs]uint8
	// strange says that a step was taken that is not an edge, disputed that the API
	// returned an instance that another job has.
	strange, disputed bool
}

// firstOf is the first of the instances that a job makes.
func firstOf(j uint8) uint8 { return 1 + j*perJob }

// made counts the instances that a job has made.
func (s *state) made(j uint8) (n int) {
	for i := firstOf(j); i < firstOf(j)+perJob; i++ {
		if s.instances[i] != unmade {
			n++
		}
	}
	return n
}

// onWire counts the job's requests that the API may still carry out, and those of
// them that the settle window waits for.
func (s *state) onWire(j uint8) (all, promised int) {
	all, promised = int(s.jobs[j].adrift+s.jobs[j].adriftPledged), int(s.jobs[j].adriftPledged)
	for _, w := range s.workers {
		if w.pc == wait && w.job == j {
			all++
			if w.pledged {
				promised++
			}
		}
	}
	return all, promised
}

// claimed says whether another job has the instance.
func (s *state) claimed(instance, by uint8) bool {
	for j := range s.jobs {
		if uint8(j) != by && s.jobs[j].instance == instance {
			return true
		}
	}
	return false
}

// invalidate makes the job's record outdated in every worker but by.
func (s *state) invalidate(j uint8, by int) {
	s.jobs[j].mark, s.jobs[j].markBaseline = false, 0 // it was made from an older revision
	for i := range s.workers {
		if s.workers[i].pc != idle && s.workers[i].job == j {
			s.workers[i].current = i == by
		}
	}
}
