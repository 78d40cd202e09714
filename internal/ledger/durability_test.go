package ledger_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redisconn"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// A durability is a way to run Redis, and what may be lost when it dies.
type durability struct {
	name  string
	start func(t *testing.T) instance
	// writers take jobs through their steps, each at most one in every pace.
	writers int
	pace    time.Duration
	// Redis dies at a moment between these two.
	from, to time.Duration
	// demanded ones run only when DURABILITY asks for them, and slow ones in each third round.
	demanded, slow bool
	// most is how long before Redis died a write may have been acknowledged that is
	// gone; forever means that all are gone.
	most time.Duration
}

const forever = time.Duration(1<<63 - 1)

// instance is a Redis that can be killed, and what comes after it.
type instance struct {
	url  string
	kill func()
	back func() // returns when url leads to a Redis that takes writes
}

// The slack is for what lies between a write and the moment when its writer knows.
const slack = time.Second

func durabilities() []durability {
	single := func(args ...string) func(*testing.T) instance {
		return func(t *testing.T) instance {
			s := redistest.Start(t, args...)
			return instance{s.URL(), s.Kill, s.Restart}
		}
	}
	aof := func(fsync string) []string { return []string{"--appendonly", "yes", "--appendfsync", fsync} }
	short := durability{writers: 16, from: 1200 * time.Millisecond, to: 2500 * time.Millisecond}
	with := func(d durability, name string, most time.Duration, start func(*testing.T) instance) durability {
		d.name, d.most, d.start = name, most, start
		return d
	}
	more := short
	more.demanded = true
	snapshots := durability{
		writers: 4, pace: 20 * time.Millisecond, from: 61 * time.Second, to: 121 * time.Second, demanded: true, slow: true,
	}
	return []durability{
		with(short, "AOF, appendfsync always", 0, single(aof("always")...)),
		with(more, "AOF, appendfsync everysec", 3*time.Second, single(aof("everysec")...)),
		with(short, "AOF everysec, last second of the file cut off (a power cut)", time.Second+slack, func(t *testing.T) instance {
			return cutTail(t, redistest.Start(t, aof("everysec")...), time.Second)
		}),
		with(short, "no persistence", forever, single()),
		with(snapshots, "no AOF, RDB with save 60 10000", 65*time.Second, single("--save", "3600 1 300 100 60 10000")),
		with(more, "failover to a replica that keeps up", slack, func(t *testing.T) instance { return failingOver(t, 0) }),
		with(more, "failover to a replica 300 ms behind", 300*time.Millisecond+slack, func(t *testing.T) instance {
			return failingOver(t, 300*time.Millisecond)
		}),
	}
}

// TestWhatIsForgottenWhenRedisDies takes jobs through the real steps, kills
// Redis at a random moment, and counts which acknowledged writes are gone
// afterwards. DURABILITY=N does so N times in each way to run Redis, Sentinel
// included, and prints docs/operations.md's table (make durability).
func TestWhatIsForgottenWhenRedisDies(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("DURABILITY"))
	all := durabilities()
	rows := make([]row, len(all))
	// In turns, so that what else the machine does falls on all of them.
	for n := range max(1, rounds) {
		for i, d := range all {
			if d.demanded && rounds == 0 || d.slow && n%3 > 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", d.name, n+1), func(t *testing.T) {
				l := d.round(t)
				rows[i].durability, rows[i].losses = d, append(rows[i].losses, l)
				d.check(t, l)
			})
		}
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return len(r.losses) == 0 })
	t.Log("\n" + table(rows))
}

// loss is what one death came to.
type loss struct {
	acked, gone           int // writes
	jobs, marks, outcomes int // of which these are forgotten
	window                time.Duration
	took, standstill      time.Duration
	wrong                 int // jobs that are further than was asked for
}

func (d durability) check(t *testing.T, l loss) {
	t.Helper()
	switch {
	case l.acked == 0:
		t.Error("no write was acknowledged: nothing was tried")
	case l.wrong > 0:
		t.Errorf("%d jobs came back with a later state than any that was asked for", l.wrong)
	case d.most == forever && l.gone != l.acked:
		t.Errorf("%d of %d writes are gone; without persistence all should be", l.gone, l.acked)
	case d.most == 0 && l.gone > 0:
		t.Errorf("%d acknowledged writes are gone, the first from %v before the end", l.gone, l.window)
	case l.window > d.most:
		t.Errorf("a write from %v before the end is gone, want at most %v", l.window, d.most)
	}
}

// The writes of a job, in order: what the record says is how many of them are there.
const (
	jobWrite = 1 + iota
	markWrite
	outcomeWrite
)

var written = map[tasks.State]int{tasks.StateQueued: jobWrite, tasks.StateCalling: markWrite, tasks.StateCreated: outcomeWrite}

// ack is a write that Redis has acknowledged.
type ack struct {
	id    string
	write int
	at    time.Time
}

// round lets Redis die once.
func (d durability) round(t *testing.T) loss {
	k := d.start(t)
	rdb, err := redisconn.Open(k.url, redisconn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	// The first writes load scripts, and take longer.
	insert(t, rdb, job("first"))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writing sync.WaitGroup
	acks := make([][]ack, d.writers)
	begun := time.Now()
	for w := range d.writers {
		writing.Go(func() { acks[w] = d.write(ctx, t, rdb, w) })
	}
	<-time.After(d.from + rand.N(d.to-d.from))
	died := time.Now()
	k.kill()
	cancel()
	writing.Wait()
	k.back()

	l := loss{took: died.Sub(begun), standstill: time.Since(died)}
	after, err := redisconn.Open(k.url, redisconn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	for _, list := range acks {
		l.count(t, open(t, after, 0), list, died)
	}
	return l
}

// write takes jobs through their steps until Redis or ctx ends, and returns what
// was acknowledged.
func (d durability) write(ctx context.Context, t *testing.T, rdb redis.UniversalClient, writer int) (acks []ack) {
	in, err := enqueue.New(enqueue.Config{Redis: rdb, DataKeys: dataKey})
	if err != nil {
		t.Error(err)
		return nil
	}
	books := open(t, rdb, 0)
	tick := time.NewTicker(max(d.pace, 1))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return acks
		case <-tick.C:
		}
		id := fmt.Sprintf("job-%d-%d", writer, i)
		did := func(write int) { acks = append(acks, ack{id, write, time.Now()}) }
		if _, err := in.Create(ctx, job(id)); err != nil {
			return acks
		}
		did(jobWrite)
		r, err := books.Get(ctx, tasks.Ref{Account: account, ID: id})
		if err != nil {
			return acks
		}
		if r, err = books.Transition(ctx, r, tasks.StepBegin, 20*time.Second); err != nil {
			return acks
		}
		did(markWrite)
		r.Instance = &tasks.EventInstance{InstanceID: "instance of " + id}
		if _, err = books.Transition(ctx, r, tasks.StepSucceeded, 0); err != nil {
			return acks
		}
		did(outcomeWrite)
	}
}

// count holds one writer's acknowledged writes against the ledger.
func (l *loss) count(t *testing.T, books *ledger.Ledger, acks []ack, died time.Time) {
	t.Helper()
	const page = 500
	last := map[string]int{}
	var ids []string
	for _, a := range acks {
		if a.write == jobWrite {
			ids = append(ids, a.id)
		}
		last[a.id] = a.write
	}
	there := map[string]int{}
	for some := range slices.Chunk(ids, page) {
		found, err := books.GetMany(t.Context(), account, some)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range found {
			if f.Err != nil && !errors.Is(f.Err, tasks.ErrNotFound) {
				t.Fatal(f.Err)
			}
			there[some[i]] = written[f.Record.State]
			if there[some[i]] > last[some[i]]+1 {
				l.wrong++ // one write more may have been on its way
			}
		}
	}
	l.acked += len(acks)
	for _, a := range acks {
		if there[a.id] >= a.write {
			continue
		}
		l.gone++
		l.window = max(l.window, died.Sub(a.at))
		switch a.write {
		case jobWrite:
			l.jobs++
		case markWrite:
			l.marks++
		case outcomeWrite:
			l.outcomes++
		}
	}
}

// cutTail stands for a power cut: beside killing the server it takes away what
// was written to the append-only file within the last d.
func cutTail(t *testing.T, s *redistest.Server, d time.Duration) instance {
	t.Helper()
	dir, err := s.Client().ConfigGet(t.Context(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir["dir"], "appendonlydir", "appendonly.aof.1.incr.aof")
	type length struct {
		at    time.Time
		bytes int64
	}
	var lengths []length
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			if info, err := os.Stat(file); err == nil {
				lengths = append(lengths, length{time.Now(), info.Size()})
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return instance{s.URL(), func() {
		s.Kill()
		died := time.Now()
		close(stop)
		<-stopped
		keep := int64(-1)
		for _, l := range lengths {
			if died.Sub(l.at) >= d {
				keep = l.bytes
			}
		}
		if keep < 0 {
			t.Fatalf("the server did not live for %v", d)
		}
		if err := os.Truncate(file, keep); err != nil {
			t.Fatal(err)
		}
	}, s.Restart}
}

// failingOver is a primary with an append-only file, a replica that hears of
// each write only after lag, and a Sentinel.
func failingOver(t *testing.T, lag time.Duration) instance {
	t.Helper()
	always := []string{"--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"}
	primary := redistest.Start(t, always...)
	line := delayLine(t, primary.Addr(), lag)
	host, port, err := net.SplitHostPort(line)
	if err != nil {
		t.Fatal(err)
	}
	replica := redistest.Start(t, append(always, "--replicaof", host, port)...)
	has := func(s *redistest.Server, section, what string) func() bool {
		c := s.Client()
		return func() bool { return strings.Contains(c.Info(t.Context(), section).Val(), what) }
	}
	await(t, "the replica follows", has(replica, "replication", "master_link_status:up"))
	const name = "camsq"
	sentinel := redistest.StartSentinel(t, name, primary)
	await(t, "the Sentinel knows the replica", has(sentinel, "sentinel", "slaves=1"))
	// The Sentinel has looked at the replica, and would take it.
	asks := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr()})
	t.Cleanup(func() { _ = asks.Close() })
	await(t, "the Sentinel has looked at the replica", func() bool {
		list, err := asks.Replicas(t.Context(), name).Result()
		return err == nil && len(list) == 1 && list[0]["master-link-status"] == "ok"
	})
	return instance{"redis-sentinel://" + sentinel.Addr() + "/" + name, primary.Kill, func() {
		await(t, "the replica is the primary", func() bool {
			at, err := asks.GetMasterAddrByName(t.Context(), name).Result()
			return err == nil && net.JoinHostPort(at[0], at[1]) == replica.Addr() && has(replica, "replication", "role:master")()
		})
	}}
}

// await polls until what is true, for at most a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// delayLine returns an address that leads to another one. What comes from there
// arrives late by lag; what is on its way is lost with the sender.
func delayLine(t *testing.T, to string, lag time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			go forward(far, near, 0)
			go forward(near, far, lag)
		}
	}()
	return l.Addr().String()
}

// forward copies until the sender ends, and then drops what is not yet due.
func forward(to, from net.Conn, lag time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	line, ended := make(chan piece, 1<<16), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			line <- piece{time.Now().Add(lag), buf[:n]}
		}
	}()
	defer to.Close()
	defer from.Close()
	for {
		select {
		case <-ended:
			return
		case p := <-line:
			select {
			case <-ended:
				return
			case <-time.After(time.Until(p.due)):
			}
			if _, err := to.Write(p.data); err != nil {
				return
			}
		}
	}
}

// row is one way to run Redis in the table.
type row struct {
	durability
	losses []loss
}

func table(rows []row) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Redis\tdeaths\tacknowledged writes\tgone, median\tgone, most\treach, median\treach, most\t"+
		"jobs forgotten, most\tmarks\toutcomes\twrites/s\tof the first\twrites again after")
	for _, r := range rows {
		speed := "-"
		if r.pace == 0 {
			speed = fmt.Sprintf("%.2f", median(r.losses, rate)/median(rows[0].losses, rate))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%v\t%v\t%d\t%d\t%d\t%.0f\t%s\t%v\n", r.name, len(r.losses),
			total(r.losses, func(l loss) int { return l.acked }),
			median(r.losses, func(l loss) int { return l.gone }), most(r.losses, func(l loss) int { return l.gone }),
			median(r.losses, window), most(r.losses, window),
			most(r.losses, func(l loss) int { return l.jobs }), most(r.losses, func(l loss) int { return l.marks }),
			most(r.losses, func(l loss) int { return l.outcomes }), median(r.losses, rate), speed,
			median(r.losses, func(l loss) time.Duration { return l.standstill.Round(100 * time.Millisecond) }))
	}
	_ = w.Flush()
	return text.String()
}

func rate(l loss) float64 { return float64(l.acked) / l.took.Seconds() }

func window(l loss) time.Duration { return l.window.Round(time.Millisecond) }

func total(all []loss, of func(loss) int) (n int) {
	for _, l := range all {
		n += of(l)
	}
	return n
}

func values[T cmp.Ordered](all []loss, of func(loss) T) []T {
	var out []T
	for _, l := range all {
		out = append(out, of(l))
	}
	slices.Sort(out)
	return out
}

func median[T cmp.Ordered](all []loss, of func(loss) T) T { return values(all, of)[len(all)/2] }

func most[T cmp.Ordered](all []loss, of func(loss) T) T { return values(all, of)[len(all)-1] }
