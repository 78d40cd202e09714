package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/redisconn"
)

// RedisError is why Redis did not do what it was asked: it is away, it is not ready, it
// refuses, or the operator has stopped the command.
func (m *Model) RedisError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return exit.With(exit.CodeSomeFailed, errors.New("stopped"))
	}
	if e, ok := errors.AsType[*exit.Error](err); ok {
		return e
	}
	text := fmt.Sprintf("Redis at %s %s", m.Config.RedisHost(), redisconn.Told(err))
	switch redisconn.AnswerOf(err) {
	case redisconn.Refusal:
		return exit.Worded(exit.CodeUsage, text+"; "+redisconn.Advice(err), err)
	case redisconn.NotReady, redisconn.Strange:
		return exit.Worded(exit.CodeUnreachable, text, err)
	case redisconn.Silence, redisconn.Fine:
	}
	return exit.Unreachablef("Redis at %s does not answer; start it, or set CAMSQ_REDIS_URL: %w", m.Config.RedisHost(), err)
}

// ExitCode is the exit code of an error of Redis.
func ExitCode(err error) int {
	if redisconn.AnswerOf(err) == redisconn.Refusal {
		return exit.CodeUsage
	}
	return exit.CodeUnreachable
}

// PartlyDown says whether an error is that of a part of a cluster, beside which the others
// go on.
func (m *Model) PartlyDown(ctx context.Context, err error) bool {
	if _, cluster := m.Redis.(*redis.ClusterClient); !cluster || ctx.Err() != nil {
		return false
	}
	answer := redisconn.AnswerOf(err)
	return answer == redisconn.Silence || answer == redisconn.NotReady
}

// EachAccount does something for all accounts at once, and returns the error of each.
// What each of them waits for is its own part of Redis.
func EachAccount(ctx context.Context, names []string, do func(ctx context.Context, i int) error) []error {
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*redisconn.AskTime)
			defer cancel()
			errs[i] = do(ctx, i)
		})
	}
	all.Wait()
	return errs
}

// skippedAccounts are the accounts that a command could not ask.
type skippedAccounts struct {
	mu       sync.Mutex
	accounts []string
	err      error
}

// Skip notes that an account could not be asked, and says whether the command may go
// on with the others.
func (m *Model) Skip(ctx context.Context, account string, err error) bool {
	if !m.PartlyDown(ctx, err) {
		return false
	}
	m.skipped.mu.Lock()
	defer m.skipped.mu.Unlock()
	if !slices.Contains(m.skipped.accounts, account) {
		m.skipped.accounts = append(m.skipped.accounts, account)
	}
	m.skipped.err = err
	return true
}

// Skipped is the error that accounts could not be asked, or nil.
func (m *Model) Skipped(ctx context.Context) error {
	m.skipped.mu.Lock()
	defer m.skipped.mu.Unlock()
	if len(m.skipped.accounts) == 0 {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return m.RedisError(ctx, m.skipped.err)
	}
	return exit.Worded(exit.CodeUnreachable, fmt.Sprintf("account %s could not be asked: its part of the cluster %s",
		strings.Join(m.skipped.accounts, ", "), redisconn.Told(m.skipped.err)), m.skipped.err)
}
