package main

import (
	"context"
	"fmt"
	"time"
)

// cost is what a round took of the machine.
type cost struct {
	jobs                int
	wall, worker, redis time.Duration
	commands            int
}

const costConcurrency = 64

// side is one of the two that are held against each other.
type side struct {
	name  string
	start func(ctx context.Context, l *lab, c cloud) ([]*running, error)
	drain func(ctx context.Context, l *lab, c cloud, jobs int) (round, error)
}

func sides() []side {
	return []side{
		{"camsq", func(ctx context.Context, l *lab, c cloud) ([]*running, error) {
			return l.workers(ctx, 1, c, workerSettings{rate: 10_000, concurrency: costConcurrency})
		}, func(ctx context.Context, l *lab, c cloud, jobs int) (round, error) { return l.drain(ctx, c, jobs) }},
		{"bare handler", func(ctx context.Context, l *lab, c cloud) ([]*running, error) {
			// It looks as often as camsq does, so that a short round is no longer for it.
			return l.peers(ctx, 1, c, fmt.Sprintf("-concurrency=%d", costConcurrency), "-look=100ms")
		}, func(ctx context.Context, l *lab, c cloud, jobs int) (round, error) { return l.drainPeers(ctx, c, jobs) }},
	}
}

// measureCost holds a job of camsq against one of a bare asynq handler, without a
// quota and with a cloud that answers at once: first in rounds that alternate, then
// with ever longer queues.
func measureCost(ctx context.Context, l *lab, p plan, t *table) error {
	rounds := map[string][]cost{}
	for range p.costRounds {
		for _, s := range sides() {
			c, err := l.costRound(ctx, s, p.costJobs)
			if err != nil {
				return err
			}
			rounds[s.name] = append(rounds[s.name], c)
		}
	}
	t.addCosts(fmt.Sprintf("1 process, %s jobs; median of %d", count(p.costJobs), p.costRounds), rounds)
	for _, depth := range p.depths {
		rounds := map[string][]cost{}
		for _, s := range sides() {
			c, err := l.costRound(ctx, s, depth)
			if err != nil {
				return err
			}
			rounds[s.name] = []cost{c}
		}
		t.addCosts(fmt.Sprintf("1 process, %s jobs", count(depth)), rounds)
	}
	return nil
}

func (l *lab) costRound(ctx context.Context, s side, jobs int) (got cost, err error) {
	err = l.scene(ctx, func() error {
		c, err := l.cloud(ctx)
		if err != nil {
			return err
		}
		workers, err := s.start(ctx, l, c)
		if err != nil {
			return err
		}
		before, err := l.usage(ctx, workers)
		if err != nil {
			return err
		}
		r, err := s.drain(ctx, l, c, jobs)
		if err != nil {
			return err
		}
		after, err := l.usage(ctx, workers)
		got = cost{jobs, r.wall, after.workers - before.workers, after.redis.cpu - before.redis.cpu, after.redis.commands - before.redis.commands}
		return err
	})
	if err == nil {
		l.say("%s, %s jobs: %s/s, worker %s, Redis %s and %s commands for each",
			s.name, count(jobs), got.perSecond(), got.perJob(got.worker), got.perJob(got.redis), got.commandsPerJob())
	}
	return got, err
}

// usage is what workers and Redis have used so far.
type usage struct {
	workers time.Duration
	redis   redisUsage
}

func (l *lab) usage(ctx context.Context, workers []*running) (u usage, err error) {
	for _, w := range workers {
		cpu, err := processCPU(w.child.Pid())
		if err != nil {
			return u, err
		}
		u.workers += cpu
	}
	u.redis, err = l.redisUsage(ctx)
	return u, err
}

func (c cost) perSecond() string { return fmt.Sprintf("%.0f", float64(c.jobs)/c.wall.Seconds()) }

func (c cost) perJob(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)/float64(c.jobs))
}

func (c cost) commandsPerJob() string {
	return fmt.Sprintf("%.1f", float64(c.commands)/float64(c.jobs))
}

// addCosts adds a row for each figure; of several rounds each figure's median.
func (t *table) addCosts(setting string, rounds map[string][]cost) {
	for _, figure := range []struct {
		name string
		of   func(cost) float64
		text func(cost) string
	}{
		{"jobs a second", func(c cost) float64 { return float64(c.jobs) / c.wall.Seconds() }, cost.perSecond},
		{"worker's CPU for a job", func(c cost) float64 { return float64(c.worker) }, func(c cost) string { return c.perJob(c.worker) }},
		{"Redis's CPU for a job", func(c cost) float64 { return float64(c.redis) }, func(c cost) string { return c.perJob(c.redis) }},
		{"Redis commands for a job, in scripts too", func(c cost) float64 { return float64(c.commands) }, cost.commandsPerJob},
	} {
		middle := func(name string) string {
			var values []float64
			for _, c := range rounds[name] {
				values = append(values, figure.of(c))
			}
			m := median(values)
			for _, c := range rounds[name] {
				if figure.of(c) == m {
					return figure.text(c)
				}
			}
			return ""
		}
		t.add("d", figure.name, setting, middle("camsq"), middle("bare handler")+" (a bare asynq handler)")
	}
}
