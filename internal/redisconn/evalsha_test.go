package redisconn_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/asynqx"
	"github.com/camsq/camsq/internal/redisconn"
)

func TestScriptsRunWhereEVALSHAIsForbidden(t *testing.T) {
	for name, refusal := range map[string]string{
		"by the user's rights": "NOPERM User ana has no permissions to run the 'evalsha' command",
		"by its absence":       "ERR unknown command `evalsha`, with args beginning with: `ab`",
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			c, err := redisconn.Open("redis://"+m.Addr(), redisconn.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var refused atomic.Int64
			m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
				if strings.EqualFold(cmd, "evalsha") {
					refused.Add(1)
					p.WriteError(refusal)
					return true
				}
				return false
			})
			var asked atomic.Int64
			c.AddHook(asynqx.AtGate{Gate: countingGate{&asked}})
			c.AddHook(new(redisconn.EvalInstead))
			ctx := t.Context()
			script := redis.NewScript("return redis.call('INCR', KEYS[1])")
			for want := range 3 {
				if n, err := script.Run(ctx, c, []string{"k"}).Int(); err != nil || n != want+1 {
					t.Fatalf("run %d: %d, %v", want, n, err)
				}
			}
			if n := refused.Load(); n != 1 {
				t.Errorf("EVALSHA was sent %d times, want once", n)
			}
			cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				script.EvalSha(ctx, p, []string{"k"})
				return nil
			})
			if !redis.HasErrorPrefix(err, "NOSCRIPT") || !redis.HasErrorPrefix(cmds[0].Err(), "NOSCRIPT") {
				t.Errorf("in a pipeline: %v, %v; want NOSCRIPT, after which the script itself is sent", err, cmds[0].Err())
			}
			keys := []string{"asynq:{q}:pending", "asynq:{q}:paused", "asynq:{q}:active", "asynq:{q}:lease"}
			take := redis.NewScript("return redis.call('RPOPLPUSH', KEYS[1], KEYS[3])")
			for range 2 {
				if err := take.Run(ctx, c, keys).Err(); err != redis.Nil {
					t.Fatal(err)
				}
			}
			if n := asked.Load(); n != 2 {
				t.Errorf("the gate was asked %d times for 2 looks", n)
			}
		})
	}
}

type countingGate struct{ asked *atomic.Int64 }

func (g countingGate) Enter(string) bool { g.asked.Add(1); return true }
func (countingGate) Left(string, bool)   {}
func (countingGate) Due(string) bool     { return true }
func (countingGate) Came(string)         {}
