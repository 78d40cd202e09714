package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// accounts writes a configuration with these accounts, each with the endpoint and the
// key of its cloud, and returns what a worker's environment needs for it.
func (l *lab) accounts(names []string, of func(name string) cloud) (workerSettings, error) {
	var text strings.Builder
	s := workerSettings{config: filepath.Join(l.dir, "camsq.yaml")}
	text.WriteString("accounts:\n")
	for i, name := range names {
		c := of(name)
		fmt.Fprintf(&text, "- name: %s\n  endpoint: %s\n  access_key_id_env: BENCH_KEY_%d\n  access_key_secret_env: BENCH_SECRET_%d\n", name, c.url, i, i)
		s.env = append(s.env,
			fmt.Sprintf("BENCH_KEY_%d=%s", i, c.key.AccessKeyID), fmt.Sprintf("BENCH_SECRET_%d=%s", i, c.key.AccessKeySecret))
	}
	return s, os.WriteFile(s.config, []byte(text.String()), 0o600)
}

// measureFairness times a few jobs of one account, alone and while another account
// has very many.
func measureFairness(ctx context.Context, l *lab, p plan, t *table) error {
	const quota = 100
	var alone, beside []time.Duration
	err := l.scene(ctx, func() error {
		clouds := map[string]cloud{}
		names := []string{"large", "small"}
		for _, name := range names {
			c, err := l.cloud(ctx, modelFlags("window", quota)...)
			if err != nil {
				return err
			}
			clouds[name] = c
		}
		s, err := l.accounts(names, func(name string) cloud { return clouds[name] })
		if err != nil {
			return err
		}
		s.rate, s.concurrency = quota, concurrencyFor(quota)
		if _, err := l.workers(ctx, 1, clouds["large"], s); err != nil {
			return err
		}
		sent := 0
		few := func(times *[]time.Duration) error {
			for range p.fairRounds {
				begun, err := l.send(ctx, "small", sent, p.few)
				if err != nil {
					return err
				}
				sent += p.few
				end, err := l.finish(ctx, "small", sent)
				if err != nil {
					return err
				}
				*times = append(*times, end.Sub(begun))
				if err := pause(ctx, time.Second); err != nil {
					return err
				}
			}
			return nil
		}
		if err := few(&alone); err != nil {
			return err
		}
		if _, err := l.send(ctx, "large", 0, p.backlog); err != nil {
			return err
		}
		if err := few(&beside); err != nil {
			return err
		}
		if done, err := l.ended(ctx, "large"); err != nil || done >= p.backlog {
			return fmt.Errorf("the large account has ended %d of %d jobs, so it was no load: %w", done, p.backlog, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	got := fmt.Sprintf("%s beside it, %s alone", seconds(median(beside)), seconds(median(alone)))
	setting := fmt.Sprintf("1 process, 2 accounts of %d/s, the other with %s queued; median of %d", quota, count(p.backlog), p.fairRounds)
	l.say("%s: %s", setting, got)
	t.add("c", fmt.Sprintf("time of %s jobs", count(p.few)), setting, got, "")
	return nil
}
