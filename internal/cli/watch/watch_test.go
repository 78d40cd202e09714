package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// book is a ledger of which a function says where a job stands.
type book struct {
	state func(id string) (tasks.State, error)
	pages []int
}

func (b *book) GetMany(_ context.Context, account string, ids []string) ([]tasks.Lookup, error) {
	b.pages = append(b.pages, len(ids))
	out := make([]tasks.Lookup, len(ids))
	for i, id := range ids {
		state, err := b.state(account + "/" + id)
		switch {
		case errors.Is(err, tasks.ErrNotFound), errors.Is(err, tasks.ErrUnreadable):
			out[i].Err = err
		case err != nil:
			return nil, err
		}
		out[i].Record.State = state
	}
	return out, nil
}

func newFollower(b *book, n int, w *bytes.Buffer) *follower {
	var jobs []importer.Accepted
	for i := range n {
		jobs = append(jobs, importer.Accepted{
			Ref: tasks.Ref{Account: []string{"default", "eu"}[i%2], ID: fmt.Sprint(i)}, At: importer.Position{File: "f.csv", Line: i + 2}, State: tasks.StateQueued,
		})
	}
	return &follower{Source: NewJobSource(b, jobs), Progress: newProgress(w, n)}
}

func TestALogGetsALineForEachTenthAndOneAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start, shut := time.Now(), time.Duration(0)
		// Every 7 s a job is created, but for a long break after the 12th.
		f := newFollower(&book{state: func(ref string) (tasks.State, error) {
			shut = time.Since(start)
			if shut > 90*time.Second {
				shut = max(90*time.Second, shut-130*time.Second)
			}
			var number time.Duration
			fmt.Sscan(ref[strings.Index(ref, "/")+1:], &number)
			if shut >= (number+1)*7*time.Second {
				return tasks.StateCreated, nil
			}
			return tasks.StateQueued, nil
		}}, 20, &out)
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `0 of 20 ended after less than 1 s: 20 queued
2 of 20 ended after 14 s: 18 queued, 2 created
4 of 20 ended after 28 s: 16 queued, 4 created
6 of 20 ended after 42 s: 14 queued, 6 created
8 of 20 ended after 56 s: 12 queued, 8 created
10 of 20 ended after 70 s: 10 queued, 10 created
12 of 20 ended after 84 s: 8 queued, 12 created
Nothing has happened for 30 s. Is a worker running (camsq worker)? Jobs of a killed worker are picked up again within seconds. camsq status says more.
12 of 20 ended after 2 min: 8 queued, 12 created
12 of 20 ended after 3 min: 8 queued, 12 created
14 of 20 ended after 3 min: 6 queued, 14 created
16 of 20 ended after 4 min: 4 queued, 16 created
18 of 20 ended after 4 min: 2 queued, 18 created
20 of 20 ended after 4 min: 20 created
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

func TestManyLinesAreNotPrintedForAFastRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		f := newFollower(&book{state: func(ref string) (tasks.State, error) {
			var number time.Duration
			fmt.Sscan(ref[strings.Index(ref, "/")+1:], &number)
			if time.Since(start) >= number*500*time.Millisecond {
				return tasks.StateCreated, nil
			}
			return tasks.StateCalling, nil
		}}, 20, &out)
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `0 of 20 ended after less than 1 s: 20 queued
11 of 20 ended after 5 s: 9 calling, 11 created
20 of 20 ended after 10 s: 20 created
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
	})
}

func TestAShortAbsenceOfRedisIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		f := newFollower(&book{state: func(string) (tasks.State, error) {
			switch since := time.Since(start); {
			case since > time.Second && since < 58*time.Second:
				return "", errors.New("connection refused")
			case since > 59*time.Second:
				return tasks.StateCreated, nil
			}
			return tasks.StateCalling, nil
		}}, 2, &out)
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "Redis does not answer; waiting for it. The jobs are not lost.\n"); n != 1 || strings.Count(out.String(), "Redis answers again.\n") != 1 {
			t.Errorf("the absence is told %d times:\n%s", n, &out)
		}
	})
}

func TestALongAbsenceOfRedisEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		gone := errors.New("connection refused")
		f := newFollower(&book{state: func(string) (tasks.State, error) { return "", gone }}, 2, &out)
		start := time.Now()
		if err := f.Follow(t.Context()); !errors.Is(err, gone) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(start); took < time.Minute || took > 61*time.Second {
			t.Errorf("it was given up after %v, want a minute", took)
		}
	})
}

func TestFollowingStopsAtOnceWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]error{"Redis answers": nil, "Redis is away": errors.New("connection refused")} {
			var out bytes.Buffer
			ctx, cancel := context.WithTimeout(t.Context(), 3250*time.Millisecond)
			f := newFollower(&book{state: func(string) (tasks.State, error) { return tasks.StateQueued, answer }}, 2, &out)
			start := time.Now()
			if err := f.Follow(ctx); !errors.Is(err, errStopped) || time.Since(start) != 3250*time.Millisecond {
				t.Errorf("%s: ended after %v with %v", name, time.Since(start), err)
			}
			cancel()
		}
	})
}

func TestAHundredThousandJobsAreNoLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		start := time.Now()
		b := &book{state: func(string) (tasks.State, error) {
			if time.Since(start) >= 3*time.Minute {
				return tasks.StateCreated, nil
			}
			return tasks.StateQueued, nil
		}}
		const n = 100_000
		f := newFollower(b, n, &out)
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Four pages each 500 ms; after the three minutes each job has had its turn within 25 s.
		if took := time.Since(start); took > 206*time.Second {
			t.Errorf("it took %v", took)
		}
		if most := 4 * 2 * 206; len(b.pages) > most {
			t.Errorf("%d round trips, want at most %d", len(b.pages), most)
		}
		for _, ids := range b.pages {
			if ids > 500 {
				t.Fatalf("a page of %d", ids)
			}
		}
	})
}

func TestAJobWithoutAReadableRecordEndsTheWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := newFollower(&book{state: func(ref string) (tasks.State, error) {
			return "", map[string]error{"default/0": tasks.ErrNotFound, "eu/1": tasks.ErrUnreadable}[ref]
		}}, 2, &out)
		if err := f.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		end, err := f.Source.(*JobSource).Ending(t.Context(), f.Retry)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		end.Print(&out, time.Second, nil)
		want := `2 jobs, followed for 1 s
  1  unreadable: their records are damaged, or sealed with another data key
  1  unknown: Redis has no record of them any more

Without an instance
  f.csv:2: unknown, job default/0
  f.csv:3: unreadable, job eu/1
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("summary (-want +got):\n%s", diff)
		}
	})
}

func TestTheBarFitsTheTerminalAndGoesAway(t *testing.T) {
	for _, width := range []int{120, 80, 50, 10} {
		var out bytes.Buffer
		b := newBar(&out, 30, func() int { return width })
		b.show(inspect.StateCounts{tasks.StateQueued: 10, tasks.StateCalling: 5, tasks.StateUncertain: 3, tasks.StateHeld: 2, tasks.StateCreated: 7, tasks.StateFailed: 3}, nil)
		last := out.String()[strings.LastIndex(out.String(), "\r"):]
		if full := strings.Contains(last, "7 created, 3 failed, 2 held, 3 uncertain, 5 calling, 10 queued"); full != (width >= 120) {
			t.Errorf("at width %d: %q", width, last)
		}
		if !strings.Contains(last, "40%") || !strings.Contains(last, "(12/30)") {
			t.Errorf("at width %d: %q", width, last)
		}
		b.say("a line")
		if !strings.HasSuffix(out.String(), "\ra line\n") && !strings.HasSuffix(out.String(), "\x1b[0Ka line\n") && !strings.HasSuffix(out.String(), "\x1b[2K\ra line\n") {
			t.Errorf("a line beside the bar: %q", out.String())
		}
		b.Close()
	}
}
