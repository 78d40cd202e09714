package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/time/rate"

	"github.com/camsq/camsq/cams"
)

// peerCommand makes this program a worker that is not camsq: an asynq handler that
// makes the same two signed calls, as one would write it with asynq's documentation.
const peerCommand = "peer"

const (
	peerQueue = "default"
	peerTask  = "create"
)

// rateLimited is the error of asynq's page on rate limits
// (https://github.com/hibiken/asynq/wiki/Rate-Limiting): it is no failure, and the task
// comes back after up to ten seconds.
type rateLimited struct{ retryIn time.Duration }

func (e *rateLimited) Error() string { return fmt.Sprintf("rate limited (retry in %v)", e.retryIn) }

func newRateLimited() error {
	return &rateLimited{retryIn: time.Duration(rand.IntN(10)) * time.Second}
}

func isFailure(err error) bool {
	_, limited := errors.AsType[*rateLimited](err)
	return !limited
}

func retryDelay(n int, err error, t *asynq.Task) time.Duration {
	if limited, ok := errors.AsType[*rateLimited](err); ok {
		return limited.retryIn
	}
	return asynq.DefaultRetryDelayFunc(n, err, t)
}

// peer handles tasks whose payload is an instance name.
type peer struct {
	client  *cams.Client
	limiter *rate.Limiter // nil is no limit
}

// ProcessTask makes the two calls, if the limiter lets it.
func (p *peer) ProcessTask(ctx context.Context, t *asynq.Task) error {
	if p.limiter != nil && !p.limiter.Allow() {
		return newRateLimited()
	}
	name := string(t.Payload())
	found, err := p.client.FindInstances(ctx, channel, name)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%s exists: %w", name, asynq.SkipRetry)
	}
	_, err = p.client.CreateInstance(ctx, cams.CreateInstanceRequest{ChannelType: channel, InstanceName: name})
	if e, ok := errors.AsType[*cams.Error](err); ok && strings.HasPrefix(e.Code, "Throttling") {
		return newRateLimited()
	}
	return err
}

// runPeer is the process. It ends with ctx.
func runPeer(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(peerCommand, flag.ContinueOnError)
	addr := flags.String("redis", "", "address")
	endpoint := flags.String("endpoint", "", "of the stand-in")
	keyID := flags.String("key-id", "", "access key ID")
	keySecret := flags.String("key-secret", "", "its secret")
	limit := flags.Float64("rate", 0, "calls a second of this process; 0 is no limit")
	burst := flags.Int("burst", 1, "calls at once")
	concurrency := flags.Int("concurrency", 10, "tasks at once")
	poll := flags.Duration("look", time.Second, "time between looks at an empty queue; asynq's own default is a second")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client, err := cloud{*endpoint, cams.Credentials{AccessKeyID: *keyID, AccessKeySecret: *keySecret}}.client()
	if err != nil {
		return err
	}
	p := &peer{client: client}
	if *limit > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(*limit), *burst)
	}
	server := asynq.NewServer(asynq.RedisClientOpt{Addr: *addr}, asynq.Config{
		Concurrency: *concurrency, TaskCheckInterval: *poll, IsFailure: isFailure, RetryDelayFunc: retryDelay, LogLevel: asynq.WarnLevel,
	})
	if err := server.Start(p); err != nil {
		return err
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// peers starts n peer processes with these flags.
func (l *lab) peers(ctx context.Context, n int, c cloud, flags ...string) ([]*running, error) {
	var started []*running
	for range n {
		cmd := exec.Command(l.self, append([]string{peerCommand, "-redis", l.redis.Addr(), "-endpoint", c.url,
			"-key-id", c.key.AccessKeyID, "-key-secret", c.key.AccessKeySecret}, flags...)...)
		cmd.Env = l.env
		r, err := l.start("peer", cmd)
		if err != nil {
			return nil, err
		}
		started = append(started, r)
	}
	ready := func(ctx context.Context) bool { return l.watch.ZCard(ctx, "asynq:servers").Val() == int64(n) }
	if err := l.await(ctx, "waiting for the peer", ready); err != nil {
		return nil, err
	}
	return started, pause(ctx, 2*time.Second)
}

// quotaFlags give each process its share of the quota, since the limiter is each
// process's own. As in the page's example, a burst is what three seconds allow.
func quotaFlags(quota, processes int) []string {
	own := float64(quota) / float64(processes)
	return []string{
		fmt.Sprintf("-rate=%g", own), fmt.Sprintf("-burst=%d", max(1, int(3*own))),
		fmt.Sprintf("-concurrency=%d", concurrencyFor(quota)),
	}
}

// drainPeers sends tasks to peers that run, and waits for their end.
func (l *lab) drainPeers(ctx context.Context, c cloud, jobs int) (round, error) {
	begun := time.Now()
	if err := l.sendTasks(ctx, jobs); err != nil {
		return round{}, err
	}
	end, err := l.until(ctx, jobs, func(ctx context.Context) (int, error) { return l.endedTasks(ctx, jobs) })
	if err != nil {
		return round{}, err
	}
	return c.round(ctx, jobs, end.Sub(begun))
}

// sendTasks enqueues as asynq's client does, from enough goroutines to be no bottleneck.
func (l *lab) sendTasks(ctx context.Context, jobs int) error {
	client := asynq.NewClientFromRedisClient(l.rdb)
	const senders = 16
	errs := make([]error, senders)
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := s; i < jobs && errs[s] == nil; i += senders {
				_, errs[s] = client.EnqueueContext(ctx, asynq.NewTask(peerTask, []byte(instanceName(i))), asynq.Queue(peerQueue))
			}
		})
	}
	sending.Wait()
	return errors.Join(errs...)
}

// endedTasks counts those of jobs that are nowhere in the queue any more.
func (l *lab) endedTasks(ctx context.Context, jobs int) (int, error) {
	p := l.watch.Pipeline()
	key := func(list string) string { return "asynq:{" + peerQueue + "}:" + list }
	pending, active := p.LLen(ctx, key("pending")), p.LLen(ctx, key("active"))
	scheduled, retry := p.ZCard(ctx, key("scheduled")), p.ZCard(ctx, key("retry"))
	archived := p.ZCard(ctx, key("archived"))
	if _, err := p.Exec(ctx); err != nil {
		return 0, err
	}
	if n := archived.Val(); n > 0 {
		return 0, fmt.Errorf("asynq has given up %d tasks", n)
	}
	return jobs - int(pending.Val()+active.Val()+scheduled.Val()+retry.Val()), nil
}
