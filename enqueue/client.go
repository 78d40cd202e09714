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

	// Room is the share of Redis's maxmemory, above 0 and up to 1, beyond which
	// [Client.CreateAll] puts in nothing new and waits until there is room again. A
	// Redis without maxmemory, or one that does not let this user ask (INFO), is not
	// waited for; one that is at maxmemory always is. Defaults to [DefaultRoom].
	Room float64
	// Waiting is called before each second of such a wait, with the bytes in use and
	// maxmemory, or 0 and 0 if they are not known. Defaults to nobody.
	Waiting func(used, max int64)
	// Patience is how long [Client.CreateAll] tries again while Redis does not answer.
	// Defaults to [DefaultPatience].
	Patience time.Duration
}

// DefaultPatience is more than a restart or a failover of Redis takes.
const DefaultPatience = 30 * time.Second

// NewDataKey makes a key for [Config.DataKeys].
func NewDataKey() string { return seal.NewKey() }

// Client puts jobs into the queue. It is safe for concurrent use.
type Client struct {
	queue  *queue.Client
	ledger *ledger.Ledger
	rules  tasks.Rules

	room     float64
	waiting  func(used, max int64)
	patience time.Duration
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
	if c.Room == 0 {
		c.Room = DefaultRoom
	}
	if !(c.Room > 0 && c.Room <= 1) {
		return nil, fmt.Errorf("enqueue: Config.Room is %v; it must be above 0 and at most 1", c.Room)
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	if c.Patience < 0 {
		return nil, fmt.Errorf("enqueue: Config.Patience is %v; it must not be negative", c.Patience)
	}
	return &Client{queue: q, ledger: q.Ledger(), rules: c.Rules, room: c.Room, waiting: c.Waiting, patience: c.Patience}, nil
}

// Create puts one job into the queue and returns what became of it. The error is
// the result's own for a refused job; any other means that Redis did not answer, or
// has no memory left, and the job may or may not be queued: send it again, it is
// queued once.
func (c *Client) Create(ctx context.Context, job tasks.Job) (Result, error) {
	one := chunk{results: []Result{{Job: job.Normalize()}}}
	if err := c.send(ctx, &one, 0); err != nil {
		return Result{Job: job.Normalize()}, err
	}
	return one.results[0], one.results[0].Err
}
