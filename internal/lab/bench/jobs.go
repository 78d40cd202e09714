package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

const channel = "VIBER"

// instanceName is the i-th name: another for each i, and in no order.
func instanceName(i int) string { return fmt.Sprintf("bench_%08x", uint32(i)*2654435761) }

// workerSettings are what differs between the workers of the measurements.
type workerSettings struct {
	rate, concurrency int
	// config names a file with accounts; without one there is the account default.
	config string
	env    []string
}

// workers starts n worker processes and returns when they have been idle for a while.
func (l *lab) workers(ctx context.Context, n int, c cloud, s workerSettings) ([]*running, error) {
	var started []*running
	for range n {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(l.camsq, "worker")
		cmd.Env = append(append(append([]string(nil), l.env...),
			"CAMSQ_REDIS_URL=redis://"+l.redis.Addr()+"/0",
			"CAMSQ_DATA_KEY="+l.dataKey,
			"CAMSQ_LISTEN="+addr,
			"CAMSQ_ENDPOINT="+c.url,
			fmt.Sprintf("CAMSQ_RATE=%d", s.rate),
			fmt.Sprintf("CAMSQ_CONCURRENCY=%d", s.concurrency),
			"ALIBABA_CLOUD_ACCESS_KEY_ID="+c.key.AccessKeyID,
			"ALIBABA_CLOUD_ACCESS_KEY_SECRET="+c.key.AccessKeySecret,
			"CAMSQ_CONFIG="+s.config,
		), s.env...)
		r, err := l.start("worker", cmd)
		if err != nil {
			return nil, err
		}
		started = append(started, r)
		ready := func(ctx context.Context) bool { return answers(ctx, "http://"+addr+"/readyz") }
		if err := l.await(ctx, "waiting for camsq worker", ready); err != nil {
			return nil, err
		}
	}
	return started, pause(ctx, 2*time.Second)
}

// send puts jobs from the first-th name on into an account's queue, and returns when
// it began to.
func (l *lab) send(ctx context.Context, account string, first, n int) (time.Time, error) {
	begun := time.Now()
	sum, err := l.client.CreateAll(ctx, func(yield func(tasks.Job, error) bool) {
		for i := first; i < first+n; i++ {
			job := tasks.Job{Account: account, Request: tasks.Request{ChannelType: channel, InstanceName: instanceName(i)}}
			if !yield(job, nil) {
				return
			}
		}
	}, nil)
	if err == nil && sum != (enqueue.Summary{Queued: n}) {
		err = fmt.Errorf("of %d jobs: %+v", n, sum)
	}
	return begun, err
}

// ended counts the jobs of an account that have ended as created. One that has ended
// otherwise is an error.
func (l *lab) ended(ctx context.Context, account string) (int, error) {
	o, err := l.ledger.Overview(ctx, account)
	if err != nil {
		return 0, err
	}
	for _, s := range []tasks.State{tasks.StateFailed, tasks.StateHeld, tasks.StateCancelled} {
		if n := o.Jobs[s]; n > 0 {
			return 0, fmt.Errorf("%d jobs of account %s are %s", n, account, s)
		}
	}
	return int(o.Jobs[tasks.StateCreated]), nil
}

// finish waits until so many jobs of an account have ended, and returns when the last
// one had.
func (l *lab) finish(ctx context.Context, account string, jobs int) (time.Time, error) {
	return l.until(ctx, jobs, func(ctx context.Context) (int, error) { return l.ended(ctx, account) })
}

// patience is how long nothing may have moved.
const patience = 3 * time.Minute

// until asks done until it says that all have ended. It asks more often as the end
// comes near, so that looking on costs little, and the end is seen within some
// milliseconds.
func (l *lab) until(ctx context.Context, all int, done func(context.Context) (int, error)) (time.Time, error) {
	begun := time.Now()
	moved, last := begun, 0
	for {
		n, err := done(ctx)
		now := time.Now()
		if err != nil {
			return now, err
		}
		if n >= all {
			return now, nil
		}
		if n != last {
			moved, last = now, n
		}
		if now.Sub(moved) > patience {
			return now, fmt.Errorf("%d of %d jobs have ended, and none in %v", n, all, patience)
		}
		if err := l.check(); err != nil {
			return now, err
		}
		if err := pause(ctx, nextLook(all, n, now.Sub(begun))); err != nil {
			return now, err
		}
	}
}

// nextLook is the time until the next look: a quarter of what is left, if it goes on
// as it did.
func nextLook(all, done int, since time.Duration) time.Duration {
	left := 100 * time.Millisecond
	if done > 0 {
		left = time.Duration(float64(since) / float64(done) * float64(all-done))
	}
	return min(max(left/4, 5*time.Millisecond), time.Second)
}

// round is one run of jobs through workers, from the first enqueue to the last end.
type round struct {
	wall time.Duration
	// throttled of calls are creates.
	calls, throttled int
}

// drain sends jobs to workers that run, and waits for their end.
func (l *lab) drain(ctx context.Context, c cloud, jobs int) (round, error) {
	begun, err := l.send(ctx, tasks.DefaultAccount, 0, jobs)
	if err != nil {
		return round{}, err
	}
	end, err := l.finish(ctx, tasks.DefaultAccount, jobs)
	if err != nil {
		return round{}, err
	}
	return c.round(ctx, jobs, end.Sub(begun))
}

// round checks that the cloud has seen what was sent.
func (c cloud) round(ctx context.Context, jobs int, wall time.Duration) (round, error) {
	t, err := c.stats(ctx)
	if err == nil && t.Instances != jobs {
		err = fmt.Errorf("%d jobs have ended, and there are %d instances", jobs, t.Instances)
	}
	return round{wall, t.creates(), t.throttled()}, err
}
