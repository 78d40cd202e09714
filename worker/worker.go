package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/recovery"
	"github.com/camsq/camsq/tasks"
)

// Ledger keeps the records. Every write is durable when it returns nil, moves
// only by [tasks.Edges], and only from the revision that the record has.
type Ledger interface {
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
	// that is an [Again] says when it is worth asking again: nobody waits very long.
	Wait(ctx context.Context) (time.Duration, error)
	// WaitUrgent is Wait for one who goes before those that wait here.
	WaitUrgent(ctx context.Context) (time.Duration, error)
	// Throttled slows everybody down, since the API's flow control has turned a call
	// away; nobody calls before retryAfter is over, if the API said so.
	Throttled(ctx context.Context, retryAfter time.Duration) error
	// SetRate changes the rate that is not exceeded, in calls a second, in this process.
	SetRate(rate float64)
}

// Again is an error of a [Limiter] whose wait would be too long to hold a slot for.
type Again interface {
	error
	// Again is how long it is until asking again may be of use.
	Again() time.Duration
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

// Lookout sees all lanes at one glance, at little cost for each.
type Lookout interface {
	// Look returns how the accounts' lanes and their queues stand, in the order of
	// the accounts. An account that cannot be asked takes no other's answer away, and
	// holds the others' up for a few seconds at most.
	Look(ctx context.Context, accounts []string) []View
	// Listen calls heard with what is said on [tasks.WakeChannel] until ctx ends, and
	// with "" when something may have been missed.
	Listen(ctx context.Context, heard func(message string))
}

// Callbacks queues the telling of a job's outcome, and of a batch's completion.
// Queueing it twice is harmless.
type Callbacks interface {
	Callback(ctx context.Context, ref tasks.Ref) error
	BatchCallback(ctx context.Context, ref tasks.BatchRef) error
}

// Sender makes one try to deliver a webhook.
type Sender interface {
	Send(ctx context.Context, url, id string, body []byte) tasks.Delivery
}

// Existing says what becomes of a job whose instance name exists before its
// first call.
type Existing string

const (
	ExistingFail   Existing = "fail"   // the job fails: nothing is created (the default)
	ExistingAdopt  Existing = "adopt"  // the job takes that instance, if it is one alone
	ExistingCreate Existing = "create" // the job creates another of the same name
)

// Absent says what becomes of a job whose call had no answer and left no
// instance for the whole settle window.
type Absent string

const (
	AbsentResend Absent = "resend" // the call is made again, within the budget (the default)
	AbsentHold   Absent = "hold"   // the job waits for a person
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
	Look     func(account, result string)
	Swept    func(kind string, n int)
}

// Config is what a [Worker] needs.
type Config struct {
	Lanes     []Lane
	Ledger    Ledger
	Batches   Batches
	Callbacks Callbacks
	Breaker   Breaker
	// Lookout and Leases are required by [Worker.Run].
	Lookout Lookout
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
	// Existing and Absent: see there.
	Existing Existing
	Absent   Absent
	// LookEvery is the time between two looks at all lanes. They catch what
	// [Lookout.Listen] has missed. Defaults to 1 s.
	LookEvery time.Duration
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
		{&c.LookEvery, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxTries == 0 {
		c.MaxTries = 10
	}
	if c.Existing == "" {
		c.Existing = ExistingFail
	}
	if c.Absent == "" {
		c.Absent = AbsentResend
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
	if c.Ledger == nil || c.Batches == nil || c.Callbacks == nil || c.Breaker == nil {
		bad("Config.Ledger, Config.Batches, Config.Callbacks and Config.Breaker are required")
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
	switch c.Existing {
	case ExistingFail, ExistingAdopt, ExistingCreate:
	default:
		bad("Existing is %q; it must be fail, adopt or create", c.Existing)
	}
	switch c.Absent {
	case AbsentResend, AbsentHold:
	default:
		bad("Absent is %q; it must be resend or hold", c.Absent)
	}
	return errors.Join(errs...)
}

// Worker takes turns. It is safe for concurrent use.
type Worker struct {
	Config
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
	w := &Worker{Config: c, lanes: map[string]*lane{}, queues: map[string]*lane{}, kick: make(chan struct{}, 1)}
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
