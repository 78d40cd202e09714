package app

import (
	"context"
	"errors"
	"sync"

	"github.com/camsq/camsq/internal/redisconn"
)

// readiness is what /readyz asks.
type readiness struct {
	app  *App
	mu   sync.Mutex
	gone bool
}

// run ends with ctx; from then on the process is not ready.
func (r *readiness) run(ctx context.Context) {
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
}

// Ready says why the process takes no work now, if so.
func (r *readiness) Ready(ctx context.Context) error {
	r.mu.Lock()
	gone := r.gone
	r.mu.Unlock()
	if gone {
		return errors.New("stopping")
	}
	if err := r.app.Available(ctx); redisconn.AnswerOf(err) == redisconn.Silence {
		return errors.New("no answer from Redis")
	} else if err != nil {
		return errors.New("Redis " + redisconn.Told(err))
	}
	return nil
}
