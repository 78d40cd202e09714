package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/internal/ledger"
)

// tryoutLua is a script of the kind that camsq and asynq use: its keys are in variables.
// It writes a key, and deletes it.
const tryoutLua = `local key = KEYS[1]
redis.call('SET', key, ARGV[1], 'PX', 60000)
local found = redis.call('GET', key)
redis.call('DEL', key)
return found`

// Tryout has each account's part of Redis run a script, and write and delete.
func (a *App) Tryout(ctx context.Context) []error {
	script, try := redis.NewScript(tryoutLua), rand.Text()
	names := a.Config.Names()
	return inspect.EachAccount(ctx, names, func(ctx context.Context, i int) error {
		key := ledger.TryoutKey(names[i], try)
		// Not by EVALSHA: that may be let through while the script is in Redis's memory.
		found, err := script.Eval(ctx, a.Redis, []string{key}, try).Text()
		if err != nil {
			return err
		}
		if found != try {
			return fmt.Errorf("a script that wrote %q read %.40q", try, found)
		}
		if err := a.Redis.Set(ctx, key, try, time.Minute).Err(); err != nil {
			return err
		}
		return a.Redis.Del(ctx, key).Err()
	})
}
