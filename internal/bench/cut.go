package main

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/tasks"
)

// measureCut cuts the quota to a third while jobs run and restores it, and nobody
// tells the workers.
func measureCut(ctx context.Context, l *lab, p plan, t *table) error {
	const processes = 3
	phases := []struct {
		name  string
		quota int
	}{{"whole", p.cutQuota}, {"cut to a third", p.cutQuota / 3}, {"restored", p.cutQuota}}
	for _, kind := range []struct {
		name  string
		flags []string
	}{
		{"window", modelFlags("window", p.cutQuota)},
		{"bucket, no retry-after", append(modelFlags("bucket", p.cutQuota), "--no-retry-after")},
	} {
		err := l.scene(ctx, func() error {
			c, err := l.cloud(ctx, kind.flags...)
			if err != nil {
				return err
			}
			if _, err := l.workers(ctx, processes, c, workerSettings{rate: p.cutQuota, concurrency: concurrencyFor(p.cutQuota)}); err != nil {
				return err
			}
			// More than they can do, so that there is always work.
			jobs := int(float64(len(phases)*p.cutQuota)*p.cutPhase.Seconds()) * 2
			if _, err := l.send(ctx, tasks.DefaultAccount, 0, jobs); err != nil {
				return err
			}
			for _, phase := range phases {
				got, err := l.phase(ctx, c, phase.quota, p.cutPhase)
				if err != nil {
					return err
				}
				setting := fmt.Sprintf("%d processes, %s, %v: %s, %d/s", processes, kind.name, p.cutPhase, phase.name, phase.quota)
				l.say("%s: %s", setting, got)
				t.add("b", "used of the quota, throttled", setting, got, "")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// phase sets the quota and says what came of it. It begins with a second of the clock,
// since a quota may be counted by them.
func (l *lab) phase(ctx context.Context, c cloud, quota int, d time.Duration) (string, error) {
	if err := pause(ctx, time.Until(time.Now().Truncate(time.Second).Add(time.Second))); err != nil {
		return "", err
	}
	if err := c.setQuota(ctx, quota); err != nil {
		return "", err
	}
	before, err := c.tally(ctx)
	if err != nil {
		return "", err
	}
	if err := pause(ctx, d); err != nil {
		return "", err
	}
	after, err := c.tally(ctx)
	if err != nil {
		return "", err
	}
	used := float64(after.Instances-before.Instances) / (float64(quota) * d.Seconds())
	throttled := share(after.throttled()-before.throttled(), after.creates()-before.creates())
	return fmt.Sprintf("%s, %s", percent(used), percent(throttled)), l.check()
}
