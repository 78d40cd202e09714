package enqueue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
)

// From each script on in turn, before or after it was run, the connection is cut, and
// the producer dies of it. The same sequence again puts in what is missing.
func TestAProducerThatIsCutOffAtAnyStepGoesOnWhereItWas(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		const steps = 4
		const jobs = steps * stepSize
		for _, how := range []fault{beforeScript, afterScript} {
			for at := range steps {
				t.Run(fmt.Sprintf("fault %d in script %d", how, at), func(t *testing.T) {
					c.FlushDB(t.Context())
					create(t, newClient(t, c, dataKey), numberedJob(0), enqueue.StatusQueued) // so that Redis knows the script
					mine, link := cutable(t, c, -1)
					dying := newClientWith(t, enqueue.Config{Redis: mine, RetryFor: time.Nanosecond})
					reported := 0
					link.failAfter(how, at)
					sum, err := dying.CreateAll(t.Context(), numbered(jobs), func(enqueue.Result) { reported++ })
					if err == nil || sum.Queued+sum.Known != reported || reported%stepSize != 0 {
						t.Errorf("%+v, %v with %d reported", sum, err, reported)
					}
					there := int(c.LLen(t.Context(), keysOf(queue)("pending")).Val())
					if there < reported {
						t.Errorf("%d jobs are there, and %d were reported", there, reported)
					}
					mustBeWhole(t, c, there)

					again, err := newClient(t, c, dataKey).CreateAll(t.Context(), numbered(jobs), nil)
					if err != nil || again != (enqueue.Summary{Queued: jobs - there, Known: there}) {
						t.Errorf("again: %+v, %v; want %d known", again, err, there)
					}
					mustHoldOnce(t, c, jobs)
				})
			}
		}
	})
}

func TestALostConnectionIsWaitedOutAndNothingIsWrittenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		mine, link := cutable(t, c, -1)
		const jobs = 16 * stepSize
		reported := 0
		sum, err := newClient(t, mine, dataKey).CreateAll(t.Context(), numbered(jobs), func(r enqueue.Result) {
			if r.Status != enqueue.StatusQueued {
				t.Errorf("%s is %s", r.Job.ID, r.Status) // what an earlier try wrote is no other's
			}
			if reported++; reported%(2*stepSize) == 0 {
				link.fail([]fault{beforeScript, afterScript}[reported/stepSize/2%2], 3)
			}
		})
		if err != nil || sum != (enqueue.Summary{Queued: jobs}) {
			t.Errorf("%+v, %v", sum, err)
		}
		mustHoldOnce(t, c, jobs)
	})
}

func TestARedisThatStaysAwayIsWaitedForAsLongAsTheSettingSays(t *testing.T) {
	for _, patience := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			_, c := redistest.Mini(t)
			mine, link := cutable(t, c, -1)
			client := newClientWith(t, enqueue.Config{Redis: mine, RetryFor: patience})
			var start time.Time
			reported := 0
			sum, err := client.CreateAll(t.Context(), numbered(15*stepSize), func(enqueue.Result) {
				if reported++; reported == 5*stepSize {
					link.fail(beforeScript, 1e6)
					start = time.Now()
				}
			})
			if err == nil || sum.Queued != reported {
				t.Errorf("%+v, %v with %d reported", sum, err, reported)
			}
			want := patience
			if want == 0 {
				want = enqueue.DefaultRetryFor
			}
			if took := time.Since(start); took < want || took > want+5*time.Second {
				t.Errorf("it tried for %v, want %v", took, want)
			}
		})
	}
}

func TestCancelingEndsTheTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		mine, link := cutable(t, c, -1)
		client := newClient(t, mine, dataKey)
		create(t, client, numberedJob(0), enqueue.StatusQueued)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		link.fail(beforeScript, 1e6)
		start := time.Now()
		if sum, err := client.CreateAll(ctx, numbered(10*stepSize), nil); !errors.Is(err, context.DeadlineExceeded) || sum != (enqueue.Summary{}) {
			t.Errorf("%+v, %v", sum, err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v to end, want the context's 3s", took)
		}
	})
}

func TestARefusalIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		c.Set(t.Context(), "camsq:{"+queue+"}:state:queued", "no sorted set", 0)
		start := time.Now()
		sum, err := newClient(t, c, dataKey).CreateAll(t.Context(), numbered(3*stepSize), nil)
		if err == nil || sum != (enqueue.Summary{}) {
			t.Errorf("%+v, %v", sum, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
		// What cannot be entered where it is found again is not written at all.
		if n := len(c.Keys(t.Context(), "*:job:*").Val()) + len(c.Keys(t.Context(), "asynq:{*").Val()); n != 0 {
			t.Errorf("%d keys were written", n)
		}
	})
}

// The environment of a test that is run as another process: the Redis that it works on.
const (
	childRedis = "ENQUEUE_TEST_REDIS"
	childKey   = "ENQUEUE_TEST_KEY"
	childName  = "producer"
	childJobs  = 200 * stepSize
)

// This is no test but the producer that the next one kills. It tells each step.
func TestProducerProcess(t *testing.T) {
	addr := os.Getenv(childRedis)
	if addr == "" {
		return
	}
	c := redis.NewClient(&redis.Options{Addr: addr, ClientName: childName})
	defer c.Close()
	client, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: os.Getenv(childKey)})
	if err != nil {
		t.Fatal(err)
	}
	reported := 0
	sum, err := client.CreateAll(t.Context(), numbered(childJobs), func(enqueue.Result) {
		if reported++; reported%stepSize == 0 {
			fmt.Println("reported", reported)
		}
	})
	fmt.Println("end", sum, err)
}

func TestAProducerThatIsKilledAtAnyMomentLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t)
	c := server.Client()
	last := 0
	for kill := range 6 {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestProducerProcess$")
		cmd.Env = append(os.Environ(), childRedis+"="+server.Addr(), childKey+"="+dataKey)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		reported := killAfter(t, cmd, out, last+rand.IntN(childJobs/20))
		awaitGone(t, c)
		there := int(c.LLen(t.Context(), keysOf(queue)("pending")).Val())
		if there < reported || there < last {
			t.Errorf("kill %d: %d jobs are there; %d were reported, and %d were there before", kill, there, reported, last)
		}
		mustBeWhole(t, c, there)
		last = there
	}
	if last == 0 || last == childJobs {
		t.Fatalf("%d jobs were there after the last kill: this cannot prove anything", last)
	}
	sum, err := newClient(t, c, dataKey).CreateAll(t.Context(), numbered(childJobs), nil)
	if err != nil || sum != (enqueue.Summary{Queued: childJobs - last, Known: last}) {
		t.Errorf("%+v, %v; want %d known", sum, err, last)
	}
	mustHoldOnce(t, c, childJobs)
}

// killAfter kills a producer when it has reported so many jobs, and returns how many it
// has reported in the end.
func killAfter(t *testing.T, cmd *exec.Cmd, out io.Reader, after int) (reported int) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "reported %d", &reported); err == nil && reported >= after {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	return reported
}

// awaitGone waits until Redis has taken what a dead producer had sent.
func awaitGone(t *testing.T, c redis.UniversalClient) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		list, err := c.Do(t.Context(), "CLIENT", "LIST").Text()
		if err == nil && !strings.Contains(list, "name="+childName) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the producer's connections stay: %v", err)
		}
	}
}
