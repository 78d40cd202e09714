package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// measureLatency times single jobs from the call of the enqueue library to the arrival
// of their create, while nothing else is to be done.
func measureLatency(ctx context.Context, l *lab, p plan, t *table) error {
	for _, lanes := range []int{1, p.latencyLanes} {
		times, err := l.latencies(ctx, p.latencyJobs, lanes)
		if err != nil {
			return err
		}
		got := fmt.Sprintf("p50 %s, p90 %s, p99 %s, max %s", ms(percentile(times, 50)),
			ms(percentile(times, 90)), ms(percentile(times, 99)), ms(percentile(times, 100)))
		setting := fmt.Sprintf("1 process, %s, %s jobs, one at a time", several(lanes, "account", "accounts"), count(p.latencyJobs))
		l.say("%s: %s", setting, got)
		t.add("f", "enqueue to CreateInstance", setting, got, "")
	}
	return nil
}

func (l *lab) latencies(ctx context.Context, jobs, lanes int) (times []time.Duration, err error) {
	err = l.scene(ctx, func() error {
		c, err := l.cloud(ctx)
		if err != nil {
			return err
		}
		names := laneNames(lanes)
		s, err := l.accounts(names, func(string) cloud { return c })
		if err != nil {
			return err
		}
		s.rate, s.concurrency = 100, 32
		if _, err := l.workers(ctx, 1, c, s); err != nil {
			return err
		}
		sent := make([]time.Time, jobs)
		perLane := map[string]int{}
		order := rand.Perm(lanes)
		for i := range jobs {
			// Not in step with anything that looks from time to time.
			if err := pause(ctx, 100*time.Millisecond+rand.N(300*time.Millisecond)); err != nil {
				return err
			}
			lane := names[order[i%lanes]]
			if sent[i], err = l.send(ctx, lane, i, 1); err != nil {
				return err
			}
			perLane[lane]++
			if _, err := l.finish(ctx, lane, perLane[lane]); err != nil {
				return err
			}
		}
		at, err := c.arrivals(ctx)
		if err != nil {
			return err
		}
		for i := range jobs {
			arrived, ok := at[instanceName(i)]
			if !ok {
				return fmt.Errorf("job %d has ended, and its call never arrived", i)
			}
			times = append(times, arrived.Sub(sent[i]))
		}
		_, err = c.stats(ctx)
		return err
	})
	return times, err
}
