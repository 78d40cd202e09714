package enqueue

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// allQueues is the set of asynq's queue names.
const allQueues = "asynq:queues"

// chunkSize is how many jobs go to Redis in one step.
const chunkSize = 500

// Config is what a [Client] needs.
type Config struct {
	// Redis is where the jobs go. Required. The client does not close it.
	Redis redis.UniversalClient
	// DataKeys seal the requests, which hold personal data, in Redis: one or more
	// keys, each the base64 form of 32 bytes, with spaces between; the first one
	// seals. Producers and workers must share one. Required. See [NewDataKey].
	DataKeys string
	// Rules are what a job must fulfil. The zero value holds the defaults.
	Rules tasks.Rules
}

// NewDataKey makes a key for [Config.DataKeys].
func NewDataKey() string { return seal.NewKey() }

// Client puts jobs into the queue. It is safe for concurrent use.
type Client struct {
	rdb     redis.UniversalClient
	ledger  *ledger.Ledger
	rules   tasks.Rules
	asynq   *asynq.Client
	scripts scripts

	mu        sync.Mutex
	keysKnown bool
	published map[string]bool
}

// New returns a client. It does not talk to Redis yet.
func New(c Config) (*Client, error) {
	keys, err := seal.ParseKeys(c.DataKeys)
	if err != nil {
		return nil, fmt.Errorf("enqueue: Config.DataKeys: %w", err)
	}
	l, err := ledger.New(ledger.Config{Redis: c.Redis, Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	client := asynq.NewClientFromRedisClient(capture{})
	s, err := newScripts(client)
	if err != nil {
		return nil, err
	}
	return &Client{rdb: c.Redis, ledger: l, rules: c.Rules, asynq: client, scripts: s, published: map[string]bool{}}, nil
}

// Status says what became of a job that was sent.
type Status string

const (
	// StatusQueued means that the job is new and now waits for a worker.
	StatusQueued Status = "queued"
	// StatusKnown means that the same job was there already; nothing was done.
	StatusKnown Status = "known"
	// StatusConflict means that its ID stands for another request; it was refused.
	StatusConflict Status = "conflict"
	// StatusInvalid means that the job breaks a rule; it was refused.
	StatusInvalid Status = "invalid"
)

// Result is what became of one job.
type Result struct {
	// Job is the job as it is kept: see [tasks.Job.Normalize]. Of a known one it holds
	// the priority that the job has, whichever it was sent with this time.
	Job    tasks.Job
	Status Status
	// State is where the job stood when it was sent: queued for a new one.
	State tasks.State
	// Err is nil for queued and known jobs; a [*ConflictError], a
	// [*tasks.InvalidError], or the error that came with the job in the sequence.
	Err error
}

// ConflictError means that a job ID is taken by another request.
type ConflictError struct {
	Ref   tasks.Ref
	State tasks.State
	// Err is why the two requests could not be compared, or nil if they differ.
	Err error
}

// Unwrap returns Err.
func (e *ConflictError) Unwrap() error { return e.Err }

func (e *ConflictError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("enqueue: job %s is there already, and nobody can tell whether with this request: %v", e.Ref, e.Err)
	}
	return fmt.Sprintf("enqueue: job %s is there already (%s) with another request; give this one an ID of its own, or send the same request", e.Ref, e.State)
}

// Summary counts what became of many jobs.
type Summary struct {
	Queued, Known, Conflict, Invalid int
}

// Create puts one job into the queue and returns what became of it. The error is
// the result's own for a refused job; any other means that Redis did not answer,
// and the job may or may not be queued: send it again, it is queued once.
func (c *Client) Create(ctx context.Context, job tasks.Job) (Result, error) {
	var got Result
	one := func(yield func(tasks.Job, error) bool) { yield(job, nil) }
	_, err := c.CreateAll(ctx, one, func(r Result) { got = r })
	if err != nil {
		return Result{Job: job.Normalize()}, err
	}
	return got, got.Err
}

// CreateAll puts many jobs into the queue, some hundreds in each step, and calls
// each (which may be nil) with every job's result in the order of the sequence.
// A job that is refused, or that comes with an error, does not stop the others.
//
// The error means that Redis did not answer: results given so far hold, and the
// whole sequence may be sent again. Canceling ctx stops between two steps.
func (c *Client) CreateAll(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(Result)) (Summary, error) {
	var sum Summary
	chunk := make([]Result, 0, chunkSize)
	flush := func() error {
		if err := c.send(ctx, chunk); err != nil {
			return err
		}
		for _, r := range chunk {
			sum.add(r.Status)
			if each != nil {
				each(r)
			}
		}
		chunk = chunk[:0]
		return nil
	}
	for job, err := range jobs {
		chunk = append(chunk, c.check(job, err))
		if len(chunk) == chunkSize {
			if err := flush(); err != nil {
				return sum, err
			}
		}
	}
	return sum, flush()
}

func (s *Summary) add(status Status) {
	switch status {
	case StatusQueued:
		s.Queued++
	case StatusKnown:
		s.Known++
	case StatusConflict:
		s.Conflict++
	case StatusInvalid:
		s.Invalid++
	}
}

func (c *Client) check(job tasks.Job, err error) Result {
	if err != nil {
		return Result{Job: job, Status: StatusInvalid, Err: err}
	}
	job = job.Normalize()
	if err := job.Validate(c.rules); err != nil {
		return Result{Job: job, Status: StatusInvalid, Err: err}
	}
	return Result{Job: job}
}

// send settles the results that have no status yet.
func (c *Client) send(ctx context.Context, results []Result) error {
	byAccount := map[string][]*Result{}
	for i := range results {
		if r := &results[i]; r.Status == "" {
			byAccount[r.Job.Account] = append(byAccount[r.Job.Account], r)
		}
	}
	for account, rs := range byAccount {
		if err := c.sendTo(ctx, account, rs); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) sendTo(ctx context.Context, account string, rs []*Result) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	var used []string
	for _, r := range rs {
		if queue := tasks.JobQueue(account, r.Job.Priority); !slices.Contains(used, queue) {
			used = append(used, queue)
		}
	}
	if err := c.prepare(ctx, used...); err != nil {
		return err
	}
	normal, high := tasks.ProvisionQueue(account), tasks.HighQueue(account)
	keys := append(listKeys(normal), listKeys(high)...)
	args := []any{len(rs), ledger.InsertKeys, ledger.InsertArgs, c.scripts.keys, c.scripts.args, tasks.WakeChannel, normal, high}
	for _, r := range rs {
		k, a, err := c.ledger.Insertion(r.Job)
		if err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		_, task, err := captureTask(c.asynq, tasks.JobQueue(account, r.Job.Priority), tasks.TypeCreateInstance, r.Job.ID, r.Job.ID)
		if err != nil {
			return err
		}
		keys = append(append(keys, k...), task.keys...)
		args = append(append(args, a...), task.args...)
	}
	answers, err := c.scripts.create.Run(ctx, c.rdb, keys, args...).StringSlice()
	if err != nil {
		return fmt.Errorf("enqueue: writing %d jobs of account %s: %w", len(rs), account, err)
	}
	var others []*Result
	for i, r := range rs {
		if answers[i] == "" {
			r.Status, r.State = StatusQueued, tasks.StateQueued
			continue
		}
		same := answers[i][0] == '='
		priority, head, _ := strings.Cut(answers[i][1:], " ")
		r.State = ledger.HeadState(head)
		if !same {
			others = append(others, r)
			continue
		}
		r.Status, r.Job.Priority = StatusKnown, tasks.Priority(priority)
	}
	return c.compare(ctx, account, others)
}

// compare settles jobs whose sealed requests differ from those of the records:
// sealed with an older data key, the same request has other bytes.
func (c *Client) compare(ctx context.Context, account string, rs []*Result) error {
	ids := make([]string, len(rs))
	for i, r := range rs {
		ids[i] = r.Job.ID
	}
	found, err := c.ledger.GetMany(ctx, account, ids)
	if err != nil {
		return fmt.Errorf("enqueue: comparing with the jobs that are there: %w", err)
	}
	for i, r := range rs {
		if found[i].Err == nil && ledger.SameRequest(found[i].Record, r.Job) {
			r.Status, r.Job.Priority = StatusKnown, found[i].Record.Priority
			continue
		}
		r.Status, r.Err = StatusConflict, &ConflictError{Ref: r.Job.Ref(), State: r.State, Err: found[i].Err}
	}
	return nil
}

// prepare checks once that this process shares a data key with the others, and
// makes each queue known to asynq once. It holds no lock while it waits for Redis,
// so that each caller's context counts.
func (c *Client) prepare(ctx context.Context, queues ...string) error {
	c.mu.Lock()
	keysKnown := c.keysKnown
	var unknown []any
	for _, queue := range queues {
		if !c.published[queue] {
			unknown = append(unknown, queue)
		}
	}
	c.mu.Unlock()
	if !keysKnown {
		if err := c.ledger.UseKeys(ctx); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
	}
	if len(unknown) > 0 {
		if err := c.rdb.SAdd(ctx, allQueues, unknown...).Err(); err != nil {
			return fmt.Errorf("enqueue: making the queues %s known: %w", strings.Join(queues, ", "), err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keysKnown = true
	for _, queue := range queues {
		c.published[queue] = true
	}
	return nil
}
