package asynqx

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// hooked notes the hooks that are added to it.
type hooked struct {
	redis.UniversalClient
	hooks []string
}

func (h *hooked) AddHook(hook redis.Hook) { h.hooks = append(h.hooks, fmt.Sprintf("%T", hook)) }

// The order counts: a command passes the hooks as they were added.
func TestServersHaveTheirHooks(t *testing.T) {
	var client hooked
	NewServers(&client, nil, slog.New(slog.DiscardHandler))
	want := []string{"*asynqx.PauseOnError", "asynqx.KeepBookkeeping", "asynqx.AtGate", "*asynqx.Takes", "*redisconn.EvalInstead"}
	if diff := cmp.Diff(want, client.hooks); diff != "" {
		t.Errorf("the hooks (-want +got):\n%s", diff)
	}
}
