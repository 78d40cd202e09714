package ledger_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

const (
	account = "acme"
	prefix  = "camsq:{provision:acme}:"
)

var dataKey = seal.NewKey()

func ring(t testing.TB, keys string) seal.Keyring {
	t.Helper()
	r, err := seal.ParseKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, c redis.UniversalClient, keep time.Duration) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(ledger.Config{Redis: c, Keys: ring(t, dataKey), Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func job(id string) tasks.Job {
	return tasks.Job{ID: id, Account: account, Request: tasks.Request{ChannelType: "VIBER", InstanceName: "name of " + id}}
}

// insert accepts jobs by the only way in.
func insert(t testing.TB, c redis.UniversalClient, jobs ...tasks.Job) {
	t.Helper()
	in, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: dataKey})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := in.CreateAll(t.Context(), func(yield func(tasks.Job, error) bool) {
		for _, j := range jobs {
			if !yield(j, nil) {
				return
			}
		}
	}, nil)
	if err != nil || sum.Queued != len(jobs) {
		t.Fatalf("inserting %d jobs: %+v, %v", len(jobs), sum, err)
	}
}

// parts are a record's: see the layout of package ledger.
type parts [4]string

const (
	head = iota
	priority
	progress
	request
)

func partsOf(record string) parts { return parts(strings.SplitN(record, "\n", 4)) }

func (p parts) String() string { return strings.Join(p[:], "\n") }

func get(t testing.TB, l *ledger.Ledger, id string) tasks.Record {
	t.Helper()
	r, err := l.Get(t.Context(), tasks.Ref{Account: account, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func step(t testing.TB, l *ledger.Ledger, r tasks.Record, by tasks.Step) tasks.Record {
	t.Helper()
	r, err := l.Transition(t.Context(), r, by, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// route is a shortest way from queued to a state.
func route(to tasks.State) []tasks.Step {
	ways := map[tasks.State][]tasks.Step{tasks.StateQueued: {}}
	for next := []tasks.State{tasks.StateQueued}; len(next) > 0; next = next[1:] {
		for _, e := range tasks.Edges() {
			if _, known := ways[e.To]; e.From == next[0] && !known {
				ways[e.To] = append(slices.Clone(ways[e.From]), e.By)
				next = append(next, e.To)
			}
		}
	}
	return ways[to]
}

// place inserts a job and brings it to a state.
func place(t testing.TB, c redis.UniversalClient, l *ledger.Ledger, j tasks.Job, to tasks.State) tasks.Record {
	t.Helper()
	insert(t, c, j)
	r := get(t, l, j.ID)
	for _, by := range route(to) {
		r = step(t, l, r, by)
	}
	return r
}

func members(t testing.TB, c redis.UniversalClient, list string) []string {
	t.Helper()
	ids, err := c.ZRange(t.Context(), prefix+list, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// link is a client's way to Redis, which a test can cut.
type link struct {
	mu     sync.Mutex
	down   bool
	cut    fault
	times  int
	failed chan struct{} // one signal for each fault; nil for none
}

type fault int

const (
	beforeScript fault = iota // the script does not reach Redis
	afterScript               // the script runs, its reply is lost
)

var errCut error = syscall.ECONNRESET

// cutable returns another client of c's Redis. retries is go-redis's MaxRetries.
func cutable(t testing.TB, c redis.UniversalClient, retries int) (*redis.Client, *link) {
	t.Helper()
	w := &link{}
	o := *c.(*redis.Client).Options()
	dial := o.Dialer
	o.MaxRetries, o.DialerRetries = retries, 1
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if w.isDown() {
			return nil, errCut
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			w.signal()
			return nil, err
		}
		return &cutConn{Conn: conn, link: w}, nil
	}
	own := redis.NewClient(&o)
	t.Cleanup(func() { _ = own.Close() })
	return own, w
}

// fail breaks the next scripts.
func (w *link) fail(how fault, times int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut, w.times = how, times
}

func (w *link) setDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *link) isDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.down
}

func (w *link) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.times
}

func (w *link) next() (fault, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.times == 0 {
		return 0, false
	}
	w.times--
	return w.cut, true
}

func (w *link) signal() {
	if w.failed != nil {
		select {
		case w.failed <- struct{}{}:
		default:
		}
	}
}

type cutConn struct {
	net.Conn
	link *link
	lose bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.link.isDown() {
		_ = c.Close()
		return 0, errCut
	}
	if bytes.Contains(b, []byte("evalsha")) {
		if how, ok := c.link.next(); ok && how == beforeScript {
			_ = c.Close()
			return 0, errCut
		} else if ok {
			c.lose = true
		}
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.lose {
		_ = c.Close() // Redis has answered, so the script has run
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
