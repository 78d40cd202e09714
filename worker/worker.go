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

// Store keeps the records and the completions of batches. Every write is durable when it returns nil, moves
// only by [tasks.Edges], and only from the revision that the record has.
type Store interface {
	// Get wraps tasks.ErrNotFound and tasks.ErrUnreadable.
	Get(ctx context.Context, ref tasks.Ref) (tasks.Record, error)
	// Step and Note wrap tasks.ErrConflict, tasks.ErrNotFound and tasks.ErrClaimed:
	// then nothing was written. After any other error it may or may not have been, or
	// may be yet, and the record that comes with the error has the revision that the
	// write gives it; it has none if nothing was sent.
	// Both may try for as long as ctx allows.
	Step(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error)
	Note(ctx context.Context, r tasks.Record, due time.Duration) (tasks.Record, error)
	// Claim takes the record's (ChannelType, InstanceName) until the job ends, and
	// returns the ID of the job that holds it.
	Claim(ctx context.Context, r tasks.Record) (holder string, err error)
	// Claimed tells which instances other jobs have.
	Claimed(ctx context.Context, r tasks.Record, instanceIDs []string) (map[string]bool, error)
	// Taken tells which names, by their tasks.NameKey, other jobs hold that have not ended.
	Taken(ctx context.Context, r tasks.Record, nameKeys []string) (map[string]bool, error)
	// Completion wraps tasks.ErrNotFound, also for a completion that was delivered and had
	// another after it, and tasks.ErrUnreadable.
	Completion(ctx context.Context, ref tasks.BatchRef) (tasks.Completion, error)
	// NoteCompletion writes the progress of its delivery. It wraps tasks.ErrConflict if the
	// completion has been written since it was read: then nothing was written.
	NoteCompletion(ctx context.Context, c tasks.Completion, to tasks.CallbackProgress) error
}

// API is the cloud. Its errors are *cams.Error.
type API interface {
	// CreateInstance must not be repeated after an error that does not prove that
	// nothing was made.
	CreateInstance(ctx context.Context, r cams.CreateInstanceRequest) (cams.Instance, error)
	// SearchPage makes one call. It may be repeated after an error, if that page was
	// not taken.
	SearchPage(ctx context.Context, s *cams.Search) (done bool, err error)
}

// Limiter paces one action of one account, together with every other process.
type Limiter interface {
	// Wait returns when the call may be made; an error means that it may not. One
	// that is a [RetryAfterer] says when it is worth asking again: nobody waits very long.
	Wait(ctx context.Context) (time.Duration, error)
	// WaitUrgent is Wait for one who goes before those that wait here.
	WaitUrgent(ctx context.Context) (time.Duration, error)
	// Throttled slows everybody down, since the API's flow control has turned a call
	// away; nobody calls before retryAfter is over, if the API said so.
	Throttled(ctx context.Context, retryAfter time.Duration) error
	// SetRate changes the rate that is not exceeded, in calls a second, in this process.
	SetRate(rate float64)
}

// RetryAfterer is an error of a [Limiter] whose wait would be too long to hold a slot for.
type RetryAfterer interface {
	error
	// RetryAfter is how long it is until asking again may be of use.
	RetryAfter() time.Duration
}

// Breaker is what keeps an account that the API refuses from being asked by every
// job. All processes share it. Its times are in Redis, so whoever dies leaves it
// as it is.
type Breaker interface {
	// Trip opens it, for what the API answered in the turn of a job. Of one that is
	// open it is told by the prober alone. The next probe may come after next.
	Trip(ctx context.Context, id tasks.ProbeID, t tasks.Trip, next time.Duration) error
	// Probe makes the job the one that may call though the breaker is open, for d at
	// most; it is so too if the breaker is closed. Else wait says when to ask again.
	Probe(ctx context.Context, id tasks.ProbeID, d time.Duration) (ok bool, wait time.Duration, err error)
	// Untrip closes it, if the job is the prober: the API let the account in.
	Untrip(ctx context.Context, id tasks.ProbeID) error
	// Unprobe ends the probe of a job that proved nothing.
	Unprobe(ctx context.Context, id tasks.ProbeID, next time.Duration) error
}

// QueueWatcher sees all lanes at one glance, at little cost for each.
type QueueWatcher interface {
	// Poll returns how the accounts' lanes and their queues stand, in the order of
	// the accounts. An account that cannot be asked takes no other's answer away, and
	// holds the others' up for a few seconds at most.
	Poll(ctx context.Context, accounts []string) []View
	// Listen calls heard with what is said on [tasks.WakeChannel] until ctx ends, and
	// with "" when something may have been missed.
	Listen(ctx context.Context, heard func(message string))
}

// Sender makes one try to deliver a webhook.
type Sender interface {
	Send(ctx context.Context, url, id string, body []byte) tasks.Delivery
}

// OnExisting says what becomes of a job whose instance name exists before its
// first call.
type OnExisting string

const (
	ExistingFail   OnExisting = "fail"   // the job fails: nothing is created (the default)
	ExistingAdopt  OnExisting = "adopt"  // the job takes that instance, if it is one alone
	ExistingCreate OnExisting = "create" // the job creates another of the same name
)

// OnNotFound says what becomes of a job whose call had no answer and left no
// instance for the whole settle window.
type OnNotFound string

const (
	NotFoundResend OnNotFound = "resend" // the call is made again, within the budget (the default)
	NotFoundHold   OnNotFound = "hold"   // the job waits for a person
)

// Lane is one account: its own queue, credentials, quota and pace.
type Lane struct {
	Account string
	API     API
	// Rate is the account's quota of creates a second. Defaults to 5.
	Rate float64
	// Create and List pace the two actions; the worker sets their rates.
	Create, List Limiter
	// Renew drops credentials that the API refused, so that the next call fetches
	// new ones. Nil if there is nothing to drop.
	Renew func()
	// CallbackURL is told of the batches, and of the jobs that name nobody
	// themselves. It may be empty.
	CallbackURL string
	// Concurrency is how many turns may run at once. Defaults to 32.
	Concurrency int
}

// Hooks are told what happens. Each may be nil, is called in place, and must not
// block.
type Hooks struct {
	Attempt func(tasks.Attempt)
	// Call is told of every request to the API, creates and lists.
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
	// Sender may be nil if no lane and no job names a receiver; a callback that is
	// owed then waits.
	Sender Sender
	// Schedule says how long to wait before the next try of a callback, after how
	// many; ok is false when there are no more. Required with Sender.
	Schedule func(tries int, retryAfter time.Duration) (delay time.Duration, ok bool)
	// Log defaults to discarding.
	Log   *slog.Logger
	Hooks Hooks

	// CallTimeout bounds one API call. Defaults to 15 s.
	CallTimeout time.Duration
	// RetryMin and RetryMax bound the backoff. Default to 1 s and 5 min.
	RetryMin, RetryMax time.Duration
	// MaxTries is how many calls a job may make that cost a try. Defaults to 10.
	MaxTries int
	// MaxAge is how long after the first of them a job may still call. Defaults to 24 h.
	MaxAge time.Duration
	// ReconcileDelay is the time before the first look for the instance of a call
	// without an answer; it doubles from look to look. Defaults to 2 s.
	ReconcileDelay time.Duration
	// SettleWindow is how long no look may have found an instance before it counts
	// as absent. Defaults to 3 min.
	SettleWindow time.Duration
	// OnExisting defaults to ExistingFail, OnNotFound to NotFoundResend.
	OnExisting OnExisting
	OnNotFound OnNotFound
	// PollEvery is the time between two looks at all lanes. They catch what
	// [QueueWatcher.Listen] has missed. Defaults to 1 s.
	PollEvery time.Duration
}

// settleTime is what a turn may take beyond its call: begin, settle, queue the callback.
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
		bad("Config.Lanes is empty: there is no account to work for")
	}
	seen := map[string]bool{}
	for _, l := range c.Lanes {
		switch {
		case !tasks.ValidAccount(l.Account):
			bad("lane %q: the account's name must be 1 to 63 of a-z, 0-9, _ and -", l.Account)
		case seen[l.Account]:
			bad("lane %q stands there twice", l.Account)
		case l.API == nil || l.Create == nil || l.List == nil:
			bad("lane %q: API, Create and List are required", l.Account)
		case l.Concurrency < 0 || l.Rate < 0:
			bad("lane %q: Concurrency is %d and Rate %v; they must be positive", l.Account, l.Concurrency, l.Rate)
		}
		seen[l.Account] = true
	}
	if c.CallTimeout < 0 || c.RetryMin < 0 || c.MaxTries < 0 || c.MaxAge < 0 || c.ReconcileDelay < 0 {
		bad("no time and no number may be negative")
	}
	if limit := tasks.TurnTimeout / 4; c.CallTimeout > limit {
		bad("CallTimeout is %v; it must be at most %v, so that a call and its settling end before the queue gives the turn up", c.CallTimeout, limit)
	}
	if c.RetryMax < c.RetryMin {
		bad("RetryMax %v is less than RetryMin %v", c.RetryMax, c.RetryMin)
	}
	if c.SettleWindow < c.ReconcileDelay {
		bad("SettleWindow %v is less than ReconcileDelay %v: no look would fall into it", c.SettleWindow, c.ReconcileDelay)
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

// Worker takes turns. It is safe for concurrent use.
type Worker struct {
	cfg   Config
	lanes map[string]*lane
	// queues are the lanes by the names of their queues in asynq.
	queues map[string]*lane
	// accounts are the lanes' in the order of the configuration.
	accounts []string
	telling  telling
	// kick asks for a look at all lanes now.
	kick chan struct{}
	// draining ends when no new call may begin; drain ends it.
	draining context.Context
	drain    context.CancelFunc
}

// New returns a worker, or everything that is wrong with the configuration.
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
