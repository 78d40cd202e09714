package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/finalize"
	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/tasks"
)

// Store keeps the records of jobs and the completions of batches. A write is durable when
// it returns nil. It moves a record only along [tasks.Edges], and only from the revision
// that was read.
type Store interface {
	// Get wraps tasks.ErrNotFound and tasks.ErrUnreadable.
	Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error)
	// Transition and UpdateProgress wrap tasks.ErrConflict, tasks.ErrNotFound and
	// tasks.ErrClaimed if nothing was written. After any other error the write may have been
	// made, or may be made later. The returned record then has the revision that the write gives it, and
	// none if nothing was sent. Both may retry for as long as ctx allows.
	Transition(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error)
	UpdateProgress(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error)
	// LockName reserves the record's (ChannelType, InstanceName) until the job ends, and
	// returns the ID of the job that holds it.
	LockName(ctx context.Context, r tasks.Record) (holder string, err error)
	// Claimed returns which of the instances belong to other jobs.
	Claimed(ctx context.Context, r tasks.Record, instanceIDs []string) (map[string]bool, error)
	// Taken returns which names, by their tasks.NameKey, are held by other jobs that have
	// not ended.
	Taken(ctx context.Context, r tasks.Record, nameKeys []string) (map[string]bool, error)
	// Completion wraps tasks.ErrNotFound, also for a completion that was delivered and had
	// another after it, and tasks.ErrUnreadable.
	Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error)
	// UpdateCompletion writes the progress of its delivery. It wraps tasks.ErrConflict if the
	// completion has been written since it was read: then nothing was written.
	UpdateCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error
}

// API is the vendor's API. Its errors are *cams.Error.
type API interface {
	// CreateInstance must not be repeated after an error, unless the error proves that the
	// API created nothing.
	CreateInstance(ctx context.Context, r cams.CreateInstanceRequest) (cams.Instance, error)
	// SearchPage makes one call, and takes one page into s. It may be repeated after an
	// error.
	SearchPage(ctx context.Context, s *cams.Search) (done bool, err error)
}

// Limiter paces one action of one account, across all processes.
type Limiter interface {
	// Wait blocks until the call may be made, and returns how long it waited. After an
	// error the call may not be made. A [RetryAfterer] is returned instead of a long wait.
	Wait(ctx context.Context) (time.Duration, error)
	// WaitUrgent is Wait ahead of the callers that wait in this process.
	WaitUrgent(ctx context.Context) (time.Duration, error)
	// Throttled lowers the rate of all processes after the API's flow control has refused
	// a call. They make no call before retryAfter is over, if it is above 0.
	Throttled(ctx context.Context, retryAfter time.Duration) error
	// SetRate changes the highest rate of this process, in calls a second.
	SetRate(rate float64)
}

// RetryAfterer is an error of a [Limiter] whose wait is too long to occupy a slot for.
type RetryAfterer interface {
	error
	// RetryAfter returns the time until another Wait may succeed.
	RetryAfter() time.Duration
}

// Breaker keeps jobs from calling the API for an account that the API refuses. All
// processes share it. Its times are in Redis, so a process that dies leaves it as it is.
type Breaker interface {
	// Trip opens it because of the answer that the turn got. If it is open, only the turn
	// that probes changes it. The next probe is allowed after next.
	Trip(ctx context.Context, id tasks.ProbeID, t tasks.Trip, next time.Duration) error
	// Probe lets the turn call although the breaker is open, for d at most. ok is also true
	// if the breaker is closed. Otherwise the caller may ask again after wait.
	Probe(ctx context.Context, id tasks.ProbeID, d time.Duration) (ok bool, wait time.Duration, err error)
	// CloseBreaker closes it if the turn is the one that probes: the API accepts the account.
	CloseBreaker(ctx context.Context, id tasks.ProbeID) error
	// AbortProbe ends the probe of a turn that proved nothing.
	AbortProbe(ctx context.Context, id tasks.ProbeID, next time.Duration) error
}

// QueueWatcher reads the state of all accounts in one round trip.
type QueueWatcher interface {
	// Poll returns the state of the accounts' lanes and queues, in the order of accounts.
	// An account that cannot be read has an error of its own, and delays the others by a
	// few seconds at most.
	Poll(ctx context.Context, accounts []string) []View
	// Listen calls heard with each message of [tasks.WakeChannel] until ctx ends, and with
	// "" when messages may have been lost.
	Listen(ctx context.Context, onMessage func(message string))
}

// Sender makes one attempt to deliver a webhook.
type Sender interface {
	Send(ctx context.Context, url, id string, body []byte) tasks.Delivery
}

// OnExisting is what happens to a job if an instance of its name exists before its first
// call.
type OnExisting string

const (
	ExistingFail   OnExisting = "fail"   // the job fails: nothing is created (the default)
	ExistingAdopt  OnExisting = "adopt"  // the job adopts that instance, if there is exactly one
	ExistingCreate OnExisting = "create" // the job creates another of the same name
)

// OnNotFound is what happens to a job whose call had no answer, if no lookup finds its
// instance during the whole settle window.
type OnNotFound string

const (
	NotFoundResend OnNotFound = "resend" // the call is made again, within the budget (the default)
	NotFoundHold   OnNotFound = "hold"   // the job waits for an operator
)

// Lane is one account, with its own queue, credentials, quota and rate.
type Lane struct {
	Account string
	API     API
	// Rate is the account's quota, in creates a second. Defaults to 5.
	Rate float64
	// Create and List pace the two actions. The worker sets their rates.
	Create, List Limiter
	// Renew drops credentials that the API refused, so that the next call fetches new
	// ones. It may be nil.
	Renew func()
	// CallbackURL receives the outcomes of batches, and of jobs that name no receiver
	// themselves. It may be empty.
	CallbackURL string
	// Concurrency is the most turns that run at once. Defaults to 32.
	Concurrency int
}

// Hooks report events. Each may be nil, is called synchronously, and must not block.
type Hooks struct {
	Attempt func(tasks.Attempt)
	// Call is called after every request to the API, creates and lists.
	Call     func(tasks.APICall)
	Finish   func(tasks.Finish)
	Delivery func(tasks.Delivery)
	Waited   func(account, action string, d time.Duration)
	Lookup   func(account, result string)
	Swept    func(kind string, n int)
}

// Config is what a [Worker] needs.
type Config struct {
	Lanes   []Lane
	Store   Store
	Queue   finalize.Queue
	Breaker Breaker
	// Watcher and Leases are required by [Worker.Run].
	Watcher QueueWatcher
	Leases  recovery.LeaseStore
	// Sender may be nil if no lane and no job names a receiver. A callback that is owed
	// waits then.
	Sender Sender
	// Schedule returns the delay before the next attempt to deliver a callback, after tries
	// attempts; ok is false if there are no more. Required with Sender.
	Schedule func(tries int, retryAfter time.Duration) (delay time.Duration, ok bool)
	// Log defaults to discarding.
	Log   *slog.Logger
	Hooks Hooks

	// CallTimeout bounds one API call. Defaults to 15 s.
	CallTimeout time.Duration
	// RetryMin and RetryMax bound the backoff. They default to 1 s and 5 min.
	RetryMin, RetryMax time.Duration
	// MaxTries is the most calls of a job that cost a try. Defaults to 10.
	MaxTries int
	// MaxAge is how long after the first such call a job may call again. Defaults to 24 h.
	MaxAge time.Duration
	// ReconcileDelay is the time before the first lookup of the instance of a call without
	// an answer. It doubles with each lookup. Defaults to 2 s.
	ReconcileDelay time.Duration
	// SettleWindow is how long lookups must find no instance until it counts as absent.
	// Defaults to 3 min.
	SettleWindow time.Duration
	// OnExisting defaults to ExistingFail, OnNotFound to NotFoundResend.
	OnExisting OnExisting
	OnNotFound OnNotFound
	// PollEvery is the time between two polls of all lanes, which find what
	// [QueueWatcher.Listen] has missed. Defaults to 1 s.
	PollEvery time.Duration
}

// settleTime is what a turn may take besides its call: to mark, to settle and to queue the
// callback.
const settleTime = 15 * time.Second

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.CallTimeout, 15 * time.Second},
		{&c.RetryMin, time.Second},
		{&c.RetryMax, 5 * time.Minute},
		{&c.MaxAge, 24 * time.Hour},
		{&c.ReconcileDelay, 2 * time.Second},
		{&c.SettleWindow, 3 * time.Minute},
		{&c.PollEvery, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxTries == 0 {
		c.MaxTries = 10
	}
	if c.OnExisting == "" {
		c.OnExisting = ExistingFail
	}
	if c.OnNotFound == "" {
		c.OnNotFound = NotFoundResend
	}
	c.Lanes = append([]Lane(nil), c.Lanes...)
	for i := range c.Lanes {
		if c.Lanes[i].Concurrency == 0 {
			c.Lanes[i].Concurrency = 32
		}
		if c.Lanes[i].Rate == 0 {
			c.Lanes[i].Rate = 5
		}
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Store == nil || c.Queue == nil || c.Breaker == nil {
		bad("Config.Store, Config.Queue and Config.Breaker are required")
	}
	if c.Sender != nil && c.Schedule == nil {
		bad("Config.Schedule is required with Config.Sender")
	}
	if len(c.Lanes) == 0 {
		bad("Config.Lanes is empty: configure at least one account")
	}
	seen := map[string]bool{}
	for _, l := range c.Lanes {
		switch {
		case !tasks.ValidAccount(l.Account):
			bad("lane %q: the account's name must be 1 to 63 of a-z, 0-9, _ and -", l.Account)
		case seen[l.Account]:
			bad("lane %q: duplicate account name", l.Account)
		case l.API == nil || l.Create == nil || l.List == nil:
			bad("lane %q: API, Create and List are required", l.Account)
		case l.Concurrency < 0 || l.Rate < 0:
			bad("lane %q: Concurrency is %d and Rate %v; they must be positive", l.Account, l.Concurrency, l.Rate)
		}
		seen[l.Account] = true
	}
	if c.CallTimeout < 0 || c.RetryMin < 0 || c.MaxTries < 0 || c.MaxAge < 0 || c.ReconcileDelay < 0 {
		bad("times and numbers must not be negative")
	}
	if limit := tasks.TurnTimeout / 4; c.CallTimeout > limit {
		bad("CallTimeout is %v; it must be at most %v, so that a call is settled before asynq ends the turn", c.CallTimeout, limit)
	}
	if c.RetryMax < c.RetryMin {
		bad("RetryMax %v is less than RetryMin %v", c.RetryMax, c.RetryMin)
	}
	if c.SettleWindow < c.ReconcileDelay {
		bad("SettleWindow %v is less than ReconcileDelay %v: it has no room for a lookup", c.SettleWindow, c.ReconcileDelay)
	}
	switch c.OnExisting {
	case ExistingFail, ExistingAdopt, ExistingCreate:
	default:
		bad("OnExisting is %q; it must be fail, adopt or create", c.OnExisting)
	}
	switch c.OnNotFound {
	case NotFoundResend, NotFoundHold:
	default:
		bad("OnNotFound is %q; it must be resend or hold", c.OnNotFound)
	}
	return errors.Join(errs...)
}

// Worker processes jobs and delivers callbacks. It is safe for concurrent use.
type Worker struct {
	cfg   Config
	lanes map[string]*lane
	// queues are the lanes by the names of their asynq queues.
	queues map[string]*lane
	// accounts are the accounts of the lanes, in the order of the configuration.
	accounts      []string
	callbackQueue callbackQueue
	// kick asks for a poll of all lanes now.
	kick chan struct{}
	// draining ends when the worker must begin no new call. drain ends it.
	draining context.Context
	drain    context.CancelFunc
}

// New returns a worker, or an error that lists every fault of the configuration.
func New(c Config) (*Worker, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w := &Worker{cfg: c, lanes: map[string]*lane{}, queues: map[string]*lane{}, kick: make(chan struct{}, 1)}
	w.draining, w.drain = context.WithCancel(context.Background())
	for _, l := range c.Lanes {
		n := newLane(l, w.draining.Done())
		w.lanes[l.Account] = n
		w.queues[tasks.ProvisionQueue(l.Account)], w.queues[tasks.HighQueue(l.Account)] = n, n
		w.accounts = append(w.accounts, l.Account)
	}
	return w, nil
}

// SnoozeError asks the queue to bring the job back after For. It is no failure.
type SnoozeError struct {
	For time.Duration
	Why string
}

func (e *SnoozeError) Error() string {
	return fmt.Sprintf("again in %v: %s", e.For.Round(time.Millisecond), e.Why)
}

// Snooze returns For.
func (e *SnoozeError) Snooze() time.Duration { return e.For }

var errDraining = errors.New("this worker is stopping")
