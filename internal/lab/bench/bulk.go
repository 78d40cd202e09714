package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/tasks"
)

// bulkAccount's queue is what camsq enqueue fills.
const bulkAccount = tasks.DefaultAccount

// oneWay is half of the round trip to a Redis that is not on this machine.
const oneWay = 500 * time.Microsecond

// bulkJob is the i-th row: some 300 bytes of JSON.
func bulkJob(i int) tasks.Request {
	return tasks.Request{
		ChannelType: "WHATSAPP", InstanceName: fmt.Sprintf("tenant %07d", i), InstanceDescription: "Flower shop with delivery",
		OfficeAddress: "12 Long Street, Springfield 12345", ContactMail: fmt.Sprintf("owner%07d@tenant.example", i),
		CountryID: "65", FacebookBmID: "393993000000017", IsConfirmAudit: "Y",
	}
}

// writeBulk writes a CSV file of n rows and returns its path.
func (l *lab) writeBulk(n int) (path string, err error) {
	path = filepath.Join(l.dir, fmt.Sprintf("rows-%d.csv", n))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "ChannelType,InstanceName,InstanceDescription,OfficeAddress,ContactMail,CountryId,FacebookBmId,IsConfirmAudit")
	for i := range n {
		r := bulkJob(i)
		fmt.Fprintf(w, "%s,%s,%s,\"%s\",%s,%s,%s,%s\n", r.ChannelType, r.InstanceName, r.InstanceDescription,
			r.OfficeAddress, r.ContactMail, r.CountryID, r.FacebookBmID, r.IsConfirmAudit)
	}
	return path, w.Flush()
}

// intake is one run of camsq enqueue.
type intake struct {
	rows       int
	wall       time.Duration
	peak       int64 // bytes of the process that were resident at most
	cpu, redis time.Duration
}

// enqueueFile has camsq enqueue take in a file of n rows, from the start of the
// process to its end. new says whether its jobs are.
func (l *lab) enqueueFile(ctx context.Context, addr, path string, n int, fresh bool) (got intake, err error) {
	got.rows = n
	before, err := l.redisUsage(ctx)
	if err != nil {
		return got, err
	}
	cmd := exec.Command(l.camsq, "enqueue", path)
	cmd.Env = append(append([]string(nil), l.env...), "CAMSQ_REDIS_URL=redis://"+addr+"/0", "CAMSQ_DATA_KEY="+l.dataKey)
	start := time.Now()
	r, err := l.start("enqueue", cmd)
	if err != nil {
		return got, err
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for running := true; running; {
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-r.child.Exited():
			got.wall, running = time.Since(start), false
		case <-poll.C:
			// In its last moment there is nothing to see any more.
			if peak, err := processPeak(r.child.Pid()); err == nil {
				got.peak = max(got.peak, peak)
			}
			if cpu, err := processCPU(r.child.Pid()); err == nil {
				got.cpu = max(got.cpu, cpu)
			}
		}
	}
	said := r.logTail()
	if err := l.stop(); err != nil {
		return got, err
	}
	after, err := l.redisUsage(ctx)
	got.redis = after.cpu - before.cpu
	want := "queued"
	if !fresh {
		want = "already queued"
	}
	if !strings.Contains(said, count(n)+"  "+want) {
		err = errors.Join(err, fmt.Errorf("camsq enqueue does not say that %s rows are %s:\n%s", count(n), want, said))
	}
	if there, queueErr := l.watch.LLen(ctx, "asynq:{"+tasks.ProvisionQueue(bulkAccount)+"}:pending").Result(); queueErr != nil || int(there) != n {
		err = errors.Join(err, queueErr, fmt.Errorf("%d of %d tasks are pending", there, n))
	}
	return got, err
}

func (i intake) rate() float64 { return float64(i.rows) / i.wall.Seconds() }

// loopPlain enqueues n tasks as asynq's documentation does: one after the other. Their
// payloads are made before.
func (l *lab) loopPlain(ctx context.Context, addr string, n int) (float64, error) {
	payloads := make([][]byte, n)
	for i := range payloads {
		var err error
		if payloads[i], err = json.Marshal(bulkJob(i)); err != nil {
			return 0, err
		}
	}
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: addr})
	start := time.Now()
	for _, payload := range payloads {
		if _, err := client.EnqueueContext(ctx, asynq.NewTask(tasks.TypeCreateInstance, payload)); err != nil {
			return 0, errors.Join(err, client.Close())
		}
	}
	return float64(n) / time.Since(start).Seconds(), client.Close()
}

// ceiling is how many of asynq's own enqueue scripts a second redis-benchmark has
// Redis run, 16 in each of 50 pipelines, with messages as long as those of loopPlain.
func (l *lab) ceiling(ctx context.Context, n int) (float64, error) {
	spy := &scriptSpy{}
	c := redis.NewClient(&redis.Options{Addr: l.redis.Addr()})
	defer c.Close()
	c.AddHook(spy)
	payload, err := json.Marshal(bulkJob(0))
	if err != nil {
		return 0, err
	}
	if _, err := asynq.NewClientFromRedisClient(c).EnqueueContext(ctx, asynq.NewTask(tasks.TypeCreateInstance, payload)); err != nil {
		return 0, err
	}
	host, port, _ := strings.Cut(l.redis.Addr(), ":")
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-n", strconv.Itoa(n), "-c", "50", "-P", "16", "-r", "1000000000", "-q",
		"EVALSHA", spy.sha, "2", "asynq:{default}:t:__rand_int__", "asynq:{default}:pending",
		strings.Repeat("x", spy.message), "00000000-0000-0000-0000-__rand_int__", "1700000000000000000").Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	found := perSecond.FindAllSubmatch(out, -1)
	if found == nil {
		return 0, fmt.Errorf("redis-benchmark says %q", out)
	}
	return strconv.ParseFloat(string(found[len(found)-1][1]), 64)
}

var perSecond = regexp.MustCompile(`([0-9.]+) requests per second`)

// scriptSpy notes the script that asynq's client runs, and how long its message is.
type scriptSpy struct {
	sha     string
	message int
}

// DialHook leaves dialling as it is.
func (s *scriptSpy) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook leaves pipelines as they are.
func (s *scriptSpy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook looks at a command: EVALSHA, hash, number of keys, two keys, message.
func (s *scriptSpy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" && len(args) > 5 {
			s.sha, _ = args[1].(string)
			message, _ := args[5].([]byte)
			s.message = len(message)
		}
		return next(ctx, cmd)
	}
}

// measureBulk holds camsq enqueue against a loop over asynq's client, in rounds that
// alternate, near Redis and at a distance; and takes in one large file.
func measureBulk(ctx context.Context, l *lab, p plan, t *table) error {
	path, err := l.writeBulk(p.bulkRows)
	if err != nil {
		return err
	}
	far, err := startDelay(l.redis.Addr(), oneWay)
	if err != nil {
		return err
	}
	defer far.Close()
	trip, err := roundTrip(ctx, far.Addr())
	if err != nil {
		return err
	}
	near, away := &bulkRounds{}, &bulkRounds{}
	var ceilings []float64
	for range p.bulkRounds {
		if err := l.bulkRound(ctx, l.redis.Addr(), path, p.bulkRows, p.bulkRows/4, near); err != nil {
			return err
		}
		if err := l.scene(ctx, func() error {
			n, err := l.ceiling(ctx, p.bulkRows)
			ceilings = append(ceilings, n)
			l.say("redis-benchmark: %.0f/s", n)
			return err
		}); err != nil {
			return err
		}
		if err := l.bulkRound(ctx, far.Addr(), path, p.bulkRows, p.bulkRows/100, away); err != nil {
			return err
		}
	}
	setting := fmt.Sprintf("CSV, %s rows; median of %d", count(p.bulkRows), p.bulkRounds)
	near.addTo(t, "loopback, "+setting)
	t.add("g", "redis-benchmark's ceiling for asynq's script", "loopback, 50 connections, 16 in a pipeline", "", fmt.Sprintf("%.0f/s", median(ceilings)))
	away.addTo(t, fmt.Sprintf("at %s (PING), ", ms(trip))+setting)
	if err := l.scene(ctx, func() error { return l.bulkLarge(ctx, p.bulkLarge, t) }); err != nil {
		return err
	}
	return l.scene(ctx, func() error { return l.bulkListpack(ctx, path, p.bulkRows, t) })
}

// bulkRounds are the figures of rounds.
type bulkRounds struct {
	plain, camsq, ratio, again []float64
	cpu, redis                 []float64 // microseconds a row
}

func (b *bulkRounds) addTo(t *table, setting string) {
	t.add("g", "rows a second, from a file into the queue", setting,
		fmt.Sprintf("%.0f, %.1f times", median(b.camsq), median(b.ratio)), fmt.Sprintf("%.0f (a loop over asynq's Enqueue)", median(b.plain)))
	t.add("g", "CPU for a row", setting, fmt.Sprintf("camsq %.1f µs, Redis %.1f µs", median(b.cpu), median(b.redis)), "")
	t.add("g", "the same file again", setting, fmt.Sprintf("%.0f/s", median(b.again)), "")
}

func (l *lab) bulkRound(ctx context.Context, addr, path string, rows, plain int, b *bulkRounds) error {
	var loop float64
	if err := l.scene(ctx, func() (err error) {
		loop, err = l.loopPlain(ctx, addr, plain)
		return err
	}); err != nil {
		return err
	}
	return l.scene(ctx, func() error {
		first, err := l.enqueueFile(ctx, addr, path, rows, true)
		if err != nil {
			return err
		}
		again, err := l.enqueueFile(ctx, addr, path, rows, false)
		if err != nil {
			return err
		}
		l.say("camsq enqueue %.0f rows/s, again %.0f, plain %.0f", first.rate(), again.rate(), loop)
		b.plain, b.camsq, b.again = append(b.plain, loop), append(b.camsq, first.rate()), append(b.again, again.rate())
		b.ratio = append(b.ratio, first.rate()/loop)
		b.cpu = append(b.cpu, first.cpu.Seconds()*1e6/float64(rows))
		b.redis = append(b.redis, first.redis.Seconds()*1e6/float64(rows))
		return nil
	})
}

// bulkLarge takes in a file that is as large as they come.
func (l *lab) bulkLarge(ctx context.Context, rows int, t *table) error {
	path, err := l.writeBulk(rows)
	if err != nil {
		return err
	}
	first, memory, err := l.weighed(ctx, path, rows)
	if err != nil {
		return err
	}
	again, err := l.enqueueFile(ctx, l.redis.Addr(), path, rows, false)
	if err != nil {
		return err
	}
	l.say("%s rows: %.0f/s, again %.0f/s", count(rows), first.rate(), again.rate())
	setting := fmt.Sprintf("loopback, %s rows, one run", count(rows))
	t.add("g", "rows a second, from a file into the queue", setting, fmt.Sprintf("%.0f (%s)", first.rate(), seconds(first.wall)), "")
	t.add("g", "the same file again", setting, fmt.Sprintf("%.0f/s (%s)", again.rate(), seconds(again.wall)), "")
	t.add("g", "memory of camsq enqueue at its peak", setting, fmt.Sprintf("%d MB, again %d MB", first.peak>>20, again.peak>>20), "")
	t.add("g", "memory of Redis for a job", setting, fmt.Sprintf("%d bytes", memory), "")
	return nil
}

// weighed imports a file and returns how many bytes of Redis each job takes.
func (l *lab) weighed(ctx context.Context, path string, rows int) (intake, int64, error) {
	before, err := l.usedMemory(ctx)
	if err != nil {
		return intake{}, 0, err
	}
	got, err := l.enqueueFile(ctx, l.redis.Addr(), path, rows, true)
	if err != nil {
		return got, 0, err
	}
	after, err := l.usedMemory(ctx)
	return got, (after - before) / int64(rows), err
}

// bulkListpack weighs jobs in a Redis that packs hashes with longer values than it does
// by default.
func (l *lab) bulkListpack(ctx context.Context, path string, rows int, t *table) error {
	const setting = "hash-max-listpack-value"
	before, err := l.watch.ConfigGet(ctx, setting).Result()
	if err != nil {
		return err
	}
	if err := l.watch.ConfigSet(ctx, setting, "1024").Err(); err != nil {
		return err
	}
	_, memory, err := l.weighed(ctx, path, rows)
	if err == nil {
		t.add("g", "memory of Redis for a job", fmt.Sprintf("loopback, %s rows, %s 1024", count(rows), setting), fmt.Sprintf("%d bytes", memory), "")
	}
	return errors.Join(err, l.watch.ConfigSet(ctx, setting, before[setting]).Err())
}

func (l *lab) usedMemory(ctx context.Context) (int64, error) {
	text, err := l.watch.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "\nused_memory:")
	value, _, _ := strings.Cut(rest, "\r\n")
	return strconv.ParseInt(value, 10, 64)
}
