package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

const stepSize = 400 // jobs of one step

// numbered is a sequence of n new jobs of one batch.
func numbered(n int) iter.Seq2[tasks.Job, error] {
	return func(yield func(tasks.Job, error) bool) {
		for i := range n {
			if !yield(numberedJob(i), nil) {
				return
			}
		}
	}
}

func numberedJob(i int) tasks.Job {
	j := newJob(fmt.Sprintf("j%06d", i))
	j.Batch = "numbers"
	return j
}

// mustHoldOnce makes sure that the jobs of numbered are there, each once, and nothing
// else is.
func mustHoldOnce(t testing.TB, c redis.UniversalClient, n int) {
	t.Helper()
	ctx := t.Context()
	var want []string
	for i := range n {
		want = append(want, numberedJob(i).ID)
	}
	pending := c.LRange(ctx, keysOf(queue)("pending"), 0, -1).Val()
	slices.Sort(pending)
	indexed := c.ZRange(ctx, "camsq:{"+queue+"}:state:queued", 0, -1).Val()
	slices.Sort(indexed)
	for what, got := range map[string][]string{"pending tasks": pending, "indexed jobs": indexed} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%.500s", what, diff)
		}
	}
	for _, pattern := range []string{keysOf(queue)("t:*"), "camsq:{" + queue + "}:job:*"} {
		if got := len(c.Keys(ctx, pattern).Val()); got != n {
			t.Errorf("there are %d keys %s, want %d", got, pattern, n)
		}
	}
	for _, key := range []string{"camsq:{" + queue + "}:count", "camsq:{" + queue + "}:batch:numbers"} {
		if got, err := c.HGet(ctx, key, "queued").Int(); got != n {
			t.Errorf("%s counts %d, %v; want %d", key, got, err, n)
		}
	}
}

// hook is a go-redis hook on the pipelines in which the scripts are sent.
type hook func(next func() error) error

func (hook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() != "evalsha" {
			return next(ctx, cmds)
		}
		return h(func() error { return next(ctx, cmds) })
	}
}

// The first of the jobs with one ID is the job, and the later ones are compared with it,
// in its step and in later ones.
func TestTheFirstOfTwoJobsWithOneIDIsTheJob(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			_, c := redistest.Mini(t)
			random := rand.New(rand.NewPCG(seed, 0))
			var jobs []tasks.Job
			for range 6 * stepSize {
				j := newJob(fmt.Sprint("j", random.IntN(1000)))
				j.Priority = []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh}[random.IntN(2)]
				j.Request.OfficeAddress = []string{"here", "here", "there"}[random.IntN(3)]
				jobs = append(jobs, j)
			}
			type outcome struct {
				ID       string
				Status   enqueue.Status
				Priority tasks.Priority
			}
			var want, got []outcome
			first := map[string]tasks.Job{}
			for _, j := range jobs {
				f, twin := first[j.ID]
				switch {
				case !twin:
					first[j.ID] = j
					want = append(want, outcome{j.ID, enqueue.StatusQueued, j.Priority})
				case f.Request == j.Request:
					want = append(want, outcome{j.ID, enqueue.StatusKnown, f.Priority})
				default:
					want = append(want, outcome{j.ID, enqueue.StatusConflict, j.Priority})
				}
			}
			if _, err := newClient(t, c, dataKey).CreateAll(t.Context(), sequence(jobs...), func(r enqueue.Result) {
				got = append(got, outcome{r.Job.ID, r.Status, r.Job.Priority})
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("results (-want +got):\n%.1000s", diff)
			}
		})
	}
}

func TestCancelingBeginsNoFurtherStep(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		ctx, cancel := context.WithCancel(t.Context())
		read, reported := 0, 0
		sum, err := newClient(t, c, dataKey).CreateAll(ctx, func(yield func(tasks.Job, error) bool) {
			for i := 0; ; i++ {
				read++
				if !yield(numberedJob(i), nil) {
					return
				}
			}
		}, func(r enqueue.Result) {
			cancel()
			if r.Job.ID != numberedJob(reported).ID || r.Status != enqueue.StatusQueued {
				t.Fatalf("result %d is that of %s, %s", reported, r.Job.ID, r.Status)
			}
			reported++
		})
		if !errors.Is(err, context.Canceled) || sum != (enqueue.Summary{Queued: reported}) || reported == 0 {
			t.Errorf("%+v, %v; want the %d that were reported, and context.Canceled", sum, err, reported)
		}
		if read > 2*stepSize {
			t.Errorf("%d jobs were read", read)
		}
		there := len(c.Keys(t.Context(), keysOf(queue)("t:*")).Val())
		if there != reported {
			t.Errorf("%d jobs are there, and %d were reported", there, reported)
		}
		mustBeWhole(t, c, there)
	})
}

func TestAPanicOfTheReaderEndsTheSequence(t *testing.T) {
	_, c := redistest.Mini(t)
	client := newClient(t, c, dataKey)
	defer func() {
		if recover() == nil {
			t.Error("the panic of each was swallowed")
		}
		n := len(c.Keys(t.Context(), keysOf(queue)("t:*")).Val())
		if n != stepSize {
			t.Errorf("%d tasks are there, want one step", n)
		}
	}()
	_, _ = client.CreateAll(t.Context(), numbered(10*stepSize), func(enqueue.Result) { panic("told") })
}

func TestOfKnownJobsTheSummarySaysHowManyHaveEnded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		client, l := newClient(t, c, dataKey), newLedger(t, c)
		const n = stepSize + 5
		if sum, err := client.CreateAll(t.Context(), numbered(n), nil); err != nil || sum != (enqueue.Summary{Queued: n}) {
			t.Fatalf("%+v, %v", sum, err)
		}
		for i := range 3 {
			r, err := l.Get(t.Context(), numberedJob(50*i).Ref())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Transition(t.Context(), r, tasks.StepCancel, 0); err != nil {
				t.Fatal(err)
			}
		}
		if sum, err := client.CreateAll(t.Context(), numbered(n+1), nil); err != nil || sum != (enqueue.Summary{Queued: 1, Known: n, Ended: 3}) {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}

func TestManyAccountsGoTogether(t *testing.T) {
	each(t, func(t *testing.T, c redis.UniversalClient) {
		pipelines := 0
		c.AddHook(hook(func(next func() error) error {
			pipelines++
			return next()
		}))
		var jobs []tasks.Job
		for i := range stepSize {
			j := newJob("a")
			j.Account = fmt.Sprint("tenant", i)
			jobs = append(jobs, j)
		}
		client := newClient(t, c, dataKey)
		for _, want := range []enqueue.Summary{{Queued: stepSize}, {Known: stepSize}} {
			if err := c.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if sum, err := client.CreateAll(t.Context(), sequence(jobs...), nil); err != nil || sum != want {
				t.Errorf("%+v, %v; want %+v", sum, err, want)
			}
		}
		if pipelines != 2 {
			t.Errorf("they took %d round trips, want one each time", pipelines)
		}
		accounts, err := client.Accounts(t.Context())
		if err != nil || len(accounts) != stepSize {
			t.Errorf("%d accounts, %v", len(accounts), err)
		}
	})
}

func TestScriptsThatAreForgottenOnTheWayLoseNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		const n = 6 * stepSize
		reported := 0
		sum, err := newClient(t, c, dataKey).CreateAll(t.Context(), numbered(n), func(enqueue.Result) {
			if reported++; reported%100 == 0 {
				c.ScriptFlush(t.Context())
			}
		})
		if err != nil || sum != (enqueue.Summary{Queued: n}) {
			t.Errorf("%+v, %v", sum, err)
		}
		mustHoldOnce(t, c, n)
	})
}
