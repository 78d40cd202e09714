package main

import (
	"context"
	"fmt"
	"time"
)

// laneNames are the names of so many accounts.
func laneNames(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("lane-%03d", i))
	}
	return names
}

// measureIdle looks at a worker of many accounts that have nothing to do.
func measureIdle(ctx context.Context, l *lab, p plan, t *table) error {
	return l.scene(ctx, func() error {
		c, err := l.cloud(ctx)
		if err != nil {
			return err
		}
		s, err := l.accounts(laneNames(p.idleLanes), func(string) cloud { return c })
		if err != nil {
			return err
		}
		s.rate, s.concurrency = 5, 32 // as by default
		workers, err := l.workers(ctx, 1, c, s)
		if err != nil {
			return err
		}
		if err := pause(ctx, p.settle); err != nil {
			return err
		}
		before, err := l.usage(ctx, workers)
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := pause(ctx, p.idleTime); err != nil {
			return err
		}
		took := time.Since(begun)
		after, err := l.usage(ctx, workers)
		if err != nil {
			return err
		}
		rss, err := processMemory(workers[0].child.Pid())
		if err != nil {
			return err
		}
		of := func(d time.Duration) string { return percent(d.Seconds() / took.Seconds()) }
		setting := fmt.Sprintf("1 process, %d accounts, nothing queued, %v", p.idleLanes, p.idleTime)
		for _, r := range []struct{ measure, got string }{
			{"worker's CPU, of a core", of(after.workers - before.workers)},
			{"Redis's CPU, of a core", of(after.redis.cpu - before.redis.cpu)},
			{"Redis commands a second", fmt.Sprintf("%.1f", float64(after.redis.commands-before.redis.commands)/took.Seconds())},
			{"worker's memory (RSS)", fmt.Sprintf("%d MiB", rss>>20)},
		} {
			l.say("%s: %s", r.measure, r.got)
			t.add("e", r.measure, setting, r.got, "")
		}
		return nil
	})
}
