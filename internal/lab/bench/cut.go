package main

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/tasks"
)

// measureCut cuts the quota to a third while jobs run and restores it, and no process
// tells the workers.
func measureCut(ctx context.Context, l *lab, p plan, t *table) error {
	const processes = 3
	phases := []struct {
		name  string
		quota int
		time  time.Duration
	}{{"whole", p.cutQuota, p.cutPhase}, {"cut to a third", p.cutQuota / 3, p.cutPhase}, {"restored", p.cutQuota, 2 * p.cutPhase}}
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
			jobs := int(float64(4*p.cutQuota)*p.cutPhase.Seconds()) * 2
			if _, err := l.send(ctx, tasks.DefaultAccount, 0, jobs); err != nil {
				return err
			}
			var whole usedQuota
			row := func(name string, got usedQuota) {
				setting := fmt.Sprintf("%d processes, %s: %s", processes, kind.name, name)
				l.say("%s: %s", setting, got)
				t.add("b", "used of the quota, throttled", setting, got.String(), "")
			}
			for _, phase := range phases {
				got, err := l.phase(ctx, c, phase.quota, phase.time)
				if err != nil {
					return err
				}
				whole.add(got)
				row(fmt.Sprintf("%v %s, %d/s", phase.time, phase.name, phase.quota), got)
			}
			row("over the run", whole)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// usedQuota is what became of a quota in some time.
type usedQuota struct {
	allowed                  float64
	made, throttled, creates int
}

func (u *usedQuota) add(v usedQuota) {
	u.allowed += v.allowed
	u.made += v.made
	u.throttled += v.throttled
	u.creates += v.creates
}

func (u usedQuota) String() string {
	return percent(float64(u.made)/u.allowed) + ", " + percent(share(u.throttled, u.creates))
}

// phase sets the quota and says what came of it. It begins with a second of the clock,
// since a quota may be counted by them.
func (l *lab) phase(ctx context.Context, c cloud, quota int, d time.Duration) (usedQuota, error) {
	if err := pause(ctx, time.Until(time.Now().Truncate(time.Second).Add(time.Second))); err != nil {
		return usedQuota{}, err
	}
	if err := c.setQuota(ctx, quota); err != nil {
		return usedQuota{}, err
	}
	before, err := c.stats(ctx)
	if err != nil {
		return usedQuota{}, err
	}
	if err := pause(ctx, d); err != nil {
		return usedQuota{}, err
	}
	after, err := c.stats(ctx)
	if err != nil {
		return usedQuota{}, err
	}
	return usedQuota{
		allowed: float64(quota) * d.Seconds(), made: after.Instances - before.Instances,
		throttled: after.throttled() - before.throttled(), creates: after.creates() - before.creates(),
	}, l.check()
}
