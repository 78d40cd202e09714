package enqueue

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

// allQueues is the set of asynq's queue names.
const allQueues = "asynq:queues"

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
	rdb     redis.UniversalClient
	ledger  *ledger.Ledger
	rules   tasks.Rules
	asynq   *asynq.Client
	scripts scripts
	// inspector reads asynq's own messages.
	inspector *asynq.Inspector

	room     float64
	waiting  func(used, max int64)
	patience time.Duration

	mu        sync.Mutex
	checked   bool
	published map[string]bool
}

// New returns a client. It does not talk to Redis yet.
func New(c Config) (*Client, error) {
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
	return &Client{
		inspector: asynq.NewInspectorFromRedisClient(c.Redis),
		rdb:       c.Redis, ledger: l, rules: c.Rules, asynq: client, scripts: s,
		room: c.Room, waiting: c.Waiting, patience: c.Patience, published: map[string]bool{},
	}, nil
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

// prepare checks once that the records in Redis are of a format for this process and
// that it shares a data key with the others, and makes each queue known to asynq once. It holds no lock while it waits for Redis,
// so that each caller's context counts.
func (c *Client) prepare(ctx context.Context, queues ...string) error {
	c.mu.Lock()
	checked := c.checked
	var unknown []any
	for _, queue := range queues {
		if !c.published[queue] {
			unknown = append(unknown, queue)
		}
	}
	c.mu.Unlock()
	if !checked {
		if err := c.ledger.UseFormat(ctx, ledger.Producing); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
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
	c.checked = true
	for _, queue := range queues {
		c.published[queue] = true
	}
	return nil
}
