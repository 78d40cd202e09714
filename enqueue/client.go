package enqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// Config is the configuration of a [Client].
type Config struct {
	// Redis is where the jobs go. Required. The client does not close it.
	Redis redis.UniversalClient
	// DataKeys seal the requests, which hold personal data, in Redis: one or more
	// keys, each the base64 form of 32 bytes, with spaces between; the first one
	// seals. Producers and workers must share one. Required. See [NewDataKey].
	DataKeys string
	// Rules validate the jobs. The zero value holds the defaults.
	Rules tasks.Rules

	// HighWatermark is the share of Redis's maxmemory, above 0 and up to 1, above which
	// [Client.CreateAll] writes nothing new and blocks. A Redis without maxmemory, or
	// one that does not let this user ask (INFO), blocks it only by refusing to write.
	// Defaults to [DefaultHighWatermark].
	HighWatermark float64
	// OnBackpressure is called before each second of such a wait, with the bytes in use
	// and maxmemory, or 0 and 0 if they are unknown. It may be nil.
	OnBackpressure func(used, max int64)
	// RetryFor is how long [Client.CreateAll] retries while Redis does not answer.
	// Defaults to [DefaultRetryFor].
	RetryFor time.Duration
}

// DefaultRetryFor is longer than a restart or a failover of Redis takes.
const DefaultRetryFor = 30 * time.Second

// NewDataKey makes a key for [Config.DataKeys].
func NewDataKey() string { return seal.NewKey() }

// Client puts jobs into the queue. It is safe for concurrent use.
type Client struct {
	queue  *queue.Client
	ledger *ledger.Ledger
	rules  tasks.Rules

	highWatermark  float64
	onBackpressure func(used, max int64)
	retryFor       time.Duration
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
	q, err := queue.New(c.Redis, l)
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	return NewOn(q, c)
}

// NewOn returns a client that shares its queue and ledger with other parts of camsq. It
// does not read Config.Redis and Config.DataKeys. Other programs use [New].
func NewOn(q *queue.Client, c Config) (*Client, error) {
	if c.HighWatermark == 0 {
		c.HighWatermark = DefaultHighWatermark
	}
	if !(c.HighWatermark > 0 && c.HighWatermark <= 1) {
		return nil, fmt.Errorf("enqueue: Config.HighWatermark is %v; it must be above 0 and at most 1", c.HighWatermark)
	}
	if c.RetryFor == 0 {
		c.RetryFor = DefaultRetryFor
	}
	if c.RetryFor < 0 {
		return nil, fmt.Errorf("enqueue: Config.RetryFor is %v; it must not be negative", c.RetryFor)
	}
	return &Client{
		queue: q, ledger: q.Ledger(), rules: c.Rules,
		highWatermark: c.HighWatermark, onBackpressure: c.OnBackpressure, retryFor: c.RetryFor,
	}, nil
}

// Create puts one job into the queue and returns its result. The error is the result's
// own for a refused job. Any other error means that Redis did not answer, or has no
// memory left, and the job may or may not be queued: send it again, it is queued once.
func (c *Client) Create(ctx context.Context, job tasks.Job) (Result, error) {
	one := step{results: []Result{{Job: job.Normalize()}}}
	if err := c.write(ctx, &one, 0); err != nil {
		return Result{Job: job.Normalize()}, err
	}
	return one.results[0], one.results[0].Err
}
