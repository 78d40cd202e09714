package queue

import (
	"context"
	_ "embed"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/ledger"
)

var (
	//go:embed wake.lua
	wakeLua string
	//go:embed memory.lua
	memoryLua string
	//go:embed create.lua
	createLua string
	//go:embed requeue.lua
	requeueLua string
	//go:embed giveback.lua
	giveBackLua string
)

// Client reads and writes the accounts' asynq queues, and the records of new jobs. It is
// safe for concurrent use.
type Client struct {
	rdb      redis.UniversalClient
	ledger   *ledger.Ledger
	composer *asynqx.Composer
	messages asynqx.Messages

	create, requeue, giveBack, memory *redis.Script

	mu         sync.Mutex
	checked    bool
	registered map[string]bool // the names of queues
}

// New returns a client on a Redis and the ledger that is in it. It sends nothing.
func New(rdb redis.UniversalClient, l *ledger.Ledger) (*Client, error) {
	composer, err := asynqx.NewComposer()
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return &Client{
		rdb: rdb, ledger: l, composer: composer, messages: asynqx.NewMessages(rdb), registered: map[string]bool{},
		create:   redis.NewScript(composer.BulkLua() + wakeLua + ledger.InsertLua + memoryLua + createLua),
		requeue:  redis.NewScript(composer.EnsureLua() + wakeLua + requeueLua),
		giveBack: redis.NewScript(wakeLua + giveBackLua),
		memory:   redis.NewScript(memoryLua + "local used, max = memory()\nreturn {used, max}\n"),
	}, nil
}

// Ledger returns the ledger that the client writes records into.
func (c *Client) Ledger() *ledger.Ledger { return c.ledger }

// prepare checks once that this process can write the records in Redis (their format,
// the data keys), and registers each queue once. It holds no lock while it waits for
// Redis, so that each caller's context counts.
func (c *Client) prepare(ctx context.Context, queues ...string) error {
	c.mu.Lock()
	checked := c.checked
	var unknown []string
	for _, queue := range queues {
		if !c.registered[queue] {
			unknown = append(unknown, queue)
		}
	}
	c.mu.Unlock()
	if !checked {
		if err := c.ledger.UseFormat(ctx, ledger.Producing); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		if err := c.ledger.UseKeys(ctx); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
	}
	if len(unknown) > 0 {
		if err := asynqx.AddQueues(ctx, c.rdb, unknown...); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = true
	for _, queue := range queues {
		c.registered[queue] = true
	}
	return nil
}
