package redistest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/redistest"
)

func TestKillForgetsAndRestartComesBackOnTheSameAddress(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Client()
	ctx := t.Context()
	addr := s.Addr()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("PING after Kill: no error")
	}
	s.Restart()
	if s.Addr() != addr {
		t.Errorf("address after Restart: %s, want %s", s.Addr(), addr)
	}
	if err := c.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET after Restart: %v, want redis.Nil", err)
	}
}

func TestArgumentsOverrideTheDefaults(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := s.Client()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if got, err := c.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Errorf("GET after Restart with an append-only file: %q, %v; want \"v\"", got, err)
	}
}

func TestPauseHoldsAnswersBackUntilResume(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("PING while paused: no error")
	}
	s.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("PING after Resume: %v", err)
	}
}

func TestASentinelMakesTheReplicaThePrimary(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(primary.Addr(), ":")
	replica := redistest.Start(t, "--replicaof", host, port)
	sentinel := redistest.StartSentinel(t, "one", primary)
	asks := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
	defer asks.Close()
	await := func(what string, ok func() bool) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("never came true: %s", what)
			}
		}
	}
	await("the Sentinel knows a replica in good order", func() bool {
		list, err := asks.Replicas(t.Context(), "one").Result()
		return err == nil && len(list) == 1 && list[0]["master-link-status"] == "ok"
	})
	primary.Kill()
	c := replica.Client()
	await("the replica takes writes", func() bool { return c.Set(t.Context(), "k", "v", 0).Err() == nil })
	await("the Sentinel names it", func() bool {
		at, err := asks.GetMasterAddrByName(t.Context(), "one").Result()
		return err == nil && strings.Join(at, ":") == replica.Addr()
	})
}

func TestMiniKeepsTheBubblesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		ctx := t.Context()
		if err := c.Set(ctx, "k", "v", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Second)
		if err := c.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("GET after the TTL: %v, want redis.Nil", err)
		}
		if now, err := c.Time(ctx).Result(); err != nil || !now.Equal(time.Now().Truncate(time.Microsecond)) {
			t.Errorf("TIME: %v, %v; want the bubble's %v", now, err, time.Now())
		}
	})
}

func TestEachRunsOnBoth(t *testing.T) {
	var ran []string
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		if n, err := c.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("DBSIZE: %d, %v; want 0", n, err)
		}
		ran = append(ran, t.Name())
	})
	if len(ran) == 0 || ran[0] != t.Name()+"/miniredis" {
		t.Errorf("ran %q, want miniredis first", ran)
	}
}
