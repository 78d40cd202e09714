package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// jitter is how long a call of the measurements with a quota is on its way, at most.
const jitter = "20ms"

// modelFlags make a stand-in count its quota by a model.
func modelFlags(model string, quota int) []string {
	flags := []string{"--quota", fmt.Sprint(quota), "--quota-model", model, "--jitter", jitter}
	if model == "bucket" {
		flags = append(flags, "--burst", fmt.Sprint(bucketOf(quota)))
	}
	return flags
}

// bucketOf is how many calls a bucket holds: a tenth of a second's worth, and two at
// least, since a bucket of one throttles a call that comes early by a part of the jitter.
func bucketOf(quota int) int { return max(2, quota/10) }

// modelName says how a stand-in counts.
func modelName(model string, quota int) string {
	if model == "bucket" {
		return fmt.Sprintf("bucket of %d", bucketOf(quota))
	}
	return model
}

// concurrencyFor is how many turns a process may have under way: enough for the quota
// when a turn takes an eighth of a second.
func concurrencyFor(quota int) int { return max(32, quota/8) }

// measureQuota drains jobs against a quota, with few and with many processes.
func measureQuota(ctx context.Context, l *lab, p plan, t *table) error {
	for _, model := range p.models {
		for _, q := range p.quotas {
			for _, n := range p.processes {
				if err := l.measureQuota(ctx, model, q, n, slices.Contains(p.peerModels, model), t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l *lab) measureQuota(ctx context.Context, model string, q quotaPlan, n int, withPeer bool, t *table) error {
	setting := fmt.Sprintf("%s, %d/s by %s, %s jobs", several(n, "process", "processes"), q.quota, modelName(model, q.quota), count(q.jobs))
	ours, err := l.quotaRound(ctx, model, q.quota, func(c cloud) (round, error) {
		if _, err := l.workers(ctx, n, c, workerSettings{rate: q.quota, concurrency: concurrencyFor(q.quota)}); err != nil {
			return round{}, err
		}
		return l.drain(ctx, c, q.jobs)
	})
	if err != nil {
		return err
	}
	l.say("%s: %s", setting, ours.against(q.jobs, q.quota))
	beside := ""
	if withPeer {
		theirs, err := l.quotaRound(ctx, model, q.quota, func(c cloud) (round, error) {
			if _, err := l.peers(ctx, n, c, quotaFlags(q.quota, n)...); err != nil {
				return round{}, err
			}
			return l.drainPeers(ctx, c, q.peerJobs)
		})
		if err != nil {
			return err
		}
		beside = fmt.Sprintf("%s (asynq's pattern, %s jobs)", theirs.against(q.peerJobs, q.quota), count(q.peerJobs))
		l.say("beside it: %s", beside)
	}
	t.add("a", "wall / ideal, throttled", setting, ours.against(q.jobs, q.quota), beside)
	return nil
}

// quotaRound runs one round against a fresh stand-in with a quota.
func (l *lab) quotaRound(ctx context.Context, model string, quota int, drain func(cloud) (round, error)) (r round, err error) {
	err = l.scene(ctx, func() error {
		c, err := l.cloud(ctx, modelFlags(model, quota)...)
		if err != nil {
			return err
		}
		r, err = drain(c)
		return err
	})
	return r, err
}

// against writes how the round was, beside the time that the quota alone would take.
func (r round) against(jobs, quota int) string {
	ideal := time.Duration(jobs) * time.Second / time.Duration(quota)
	return fmt.Sprintf("%.3f, %s", float64(r.wall)/float64(ideal), percent(share(r.throttled, r.calls)))
}
