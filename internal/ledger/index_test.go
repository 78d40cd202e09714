package ledger_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/internal/seal"
	"github.com/camsq/camsq/tasks"
)

func TestOnlyRecordsOfJobsThatEndedExpire(t *testing.T) {
	for _, s := range tasks.States() {
		t.Run(string(s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := redistest.Mini(t)
				l := open(t, c, time.Hour)
				r := place(t, c, l, job("a"), s)
				time.Sleep(59 * time.Minute)
				if _, err := l.Get(t.Context(), r.Ref()); err != nil {
					t.Fatalf("after 59m: %v", err)
				}
				time.Sleep(1000 * time.Hour)
				_, err := l.Get(t.Context(), r.Ref())
				if gone := errors.Is(err, tasks.ErrNotFound); gone != s.Final() {
					t.Errorf("after 1000h: %v", err)
				}
			})
		})
	}
}

func TestABatchIsCountedForAsLongAsItHasJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l, ctx := open(t, c, time.Hour), t.Context()
		inBatch := func(id string) tasks.Job {
			j := job(id)
			j.Batch = "march"
			return j
		}
		held := place(t, c, l, inBatch("held"), tasks.StateHeld)
		place(t, c, l, inBatch("done"), tasks.StateCreated)
		time.Sleep(500 * time.Hour)
		if err := l.Prune(ctx, account); err != nil {
			t.Fatal(err)
		}
		want := zeros()
		want[tasks.StateCreated], want[tasks.StateHeld] = 1, 1
		counts := func() (map[tasks.State]int64, error) {
			b, err := l.Batch(ctx, account, "march")
			if err != nil || b == nil {
				return nil, err
			}
			return b.Jobs, nil
		}
		got, err := counts()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("with a held job: %v\n%s", err, diff)
		}
		if names, err := l.Batches(ctx, account, 10); err != nil || len(names) != 1 {
			t.Errorf("Batches: %q, %v; want march", names, err)
		}

		step(t, l, held, tasks.StepResolveFailed)
		want[tasks.StateFailed], want[tasks.StateHeld] = 1, 0
		got, err = counts()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("resolved: %v\n%s", err, diff)
		}

		// A late job makes it live on.
		time.Sleep(30 * time.Minute)
		insert(t, c, inBatch("late"))
		time.Sleep(5 * time.Hour)
		want[tasks.StateQueued] = 1
		got, err = counts()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("with a late job: %v\n%s", err, diff)
		}
		step(t, l, get(t, l, "late"), tasks.StepCancel)

		time.Sleep(61 * time.Minute)
		if got, err := l.Batch(ctx, account, "march"); err != nil || got != nil {
			t.Errorf("an hour after its last job: %v, %v; want none", got, err)
		}
		if err := l.Prune(ctx, account); err != nil {
			t.Fatal(err)
		}
		if names, err := l.Batches(ctx, account, 10); err != nil || len(names) != 0 {
			t.Errorf("Batches: %q, %v; want none", names, err)
		}
	})
}

func TestPruneDropsOnlyEntriesWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l, ctx := open(t, c, time.Hour), t.Context()
		for _, s := range []tasks.State{tasks.StateFailed, tasks.StateCreated, tasks.StateHeld} {
			for _, callback := range []tasks.CallbackState{tasks.CallbackOwed, tasks.CallbackDead} {
				r := place(t, c, l, job(string(s)+"-"+string(callback)), s)
				r.Callback.State = callback
				if _, err := l.UpdateProgress(ctx, r, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		lists := func() map[string][]string {
			t.Helper()
			if err := l.Prune(ctx, account); err != nil {
				t.Fatal(err)
			}
			m := map[string][]string{}
			for _, list := range []string{"state:failed", "state:held", "owed", "dead"} {
				m[list] = members(t, c, list)
			}
			return m
		}
		time.Sleep(59 * time.Minute)
		before := map[string][]string{
			"state:failed": {"failed-dead", "failed-owed"}, "state:held": {"held-dead", "held-owed"},
			"owed": {"created-owed", "failed-owed", "held-owed"}, "dead": {"created-dead", "failed-dead", "held-dead"},
		}
		if diff := cmp.Diff(before, lists()); diff != "" {
			t.Errorf("while the records are there:\n%s", diff)
		}
		time.Sleep(2 * time.Minute)
		after := map[string][]string{
			"state:failed": {}, "state:held": {"held-dead", "held-owed"}, "owed": {"held-owed"}, "dead": {"held-dead"},
		}
		if diff := cmp.Diff(after, lists()); diff != "" {
			t.Errorf("after the records expired:\n%s", diff)
		}
	})
}

func TestListsTellWhoIsThereAndForHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l, ctx := open(t, c, 0), t.Context()
		for i := range 5 {
			insert(t, c, job(fmt.Sprintf("j%d", i)))
			time.Sleep(time.Minute)
		}
		r := step(t, l, get(t, l, "j1"), tasks.StepBegin)
		r.Callback.State = tasks.CallbackOwed
		time.Sleep(time.Minute)
		step(t, l, r, tasks.StepSucceeded)
		time.Sleep(time.Minute)
		o, err := l.Overview(ctx, account)
		if err != nil {
			t.Fatal(err)
		}
		want := ledger.Overview{
			Account: account, Jobs: zeros(), PendingCallbacks: 1, OldestPending: time.Minute,
			Oldest: map[tasks.State]time.Duration{
				tasks.StateQueued: 7 * time.Minute, tasks.StateCalling: 0, tasks.StateUncertain: 0, tasks.StateHeld: 0,
			},
		}
		want.Jobs[tasks.StateQueued], want.Jobs[tasks.StateCreated] = 4, 1
		if diff := cmp.Diff(want, o); diff != "" {
			t.Errorf("Overview (-want +got):\n%s", diff)
		}

		collect := func(pages iter.Seq2[[]string, error]) []string {
			var all []string
			for ids, err := range pages {
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, ids...)
			}
			return all
		}
		if got := collect(l.Unfinished(ctx, account, 5*time.Minute)); !cmp.Equal(got, []string{"j2", "j0"}) {
			t.Errorf("Unfinished for 5m: %q, want j2, j0", got)
		}
		if got := collect(l.PendingCallbacks(ctx, account, time.Minute)); !cmp.Equal(got, []string{"j1"}) {
			t.Errorf("PendingCallbacks for 1m: %q, want j1", got)
		}
		if got := collect(l.PendingCallbacks(ctx, account, 2*time.Minute)); len(got) != 0 {
			t.Errorf("PendingCallbacks for 2m: %q, want none", got)
		}
	})
}

func TestBatchesComeNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l, ctx := open(t, c, 0), t.Context()
		for i, batch := range []string{"one", "two words", "", "three", "one"} {
			j := job(fmt.Sprint("j", i))
			j.Batch = batch
			insert(t, c, j)
			time.Sleep(time.Second)
		}
		for n, want := range map[int64][]string{0: nil, 1: {"one"}, 2: {"one", "three"}, 9: {"one", "three", "two words"}} {
			if got, err := l.Batches(ctx, account, n); err != nil || !cmp.Equal(got, want) {
				t.Errorf("Batches(%d): %q, %v; want %q", n, got, err, want)
			}
		}
		if got, err := l.Batch(ctx, account, "one"); err != nil || got.Jobs[tasks.StateQueued] != 2 {
			t.Errorf("Batch(one): %v, %v; want 2 queued", got, err)
		}
		if got, err := l.Batch(ctx, "other", "one"); err != nil || got != nil {
			t.Errorf("Batch of another account: %v, %v; want none", got, err)
		}
	})
}

func TestTimesAreOnRedissClock(t *testing.T) {
	m, c := redistest.Mini(t)
	clock := time.Date(2041, 5, 6, 7, 8, 9, 250e6, time.UTC)
	m.SetTime(clock)
	l := open(t, c, 0)
	insert(t, c, job("a"))
	r := get(t, l, "a")
	for name, at := range map[string]time.Time{"EnqueuedAt": r.EnqueuedAt, "Since": r.Since, "Now": r.Now} {
		if !at.Equal(clock) {
			t.Errorf("%s is %v, want Redis's %v", name, at.UTC(), clock)
		}
	}
	m.SetTime(clock.Add(time.Minute))
	r, err := l.Transition(t.Context(), r, tasks.StepBegin, 15*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Due.Equal(clock.Add(75*time.Second)) || !r.Since.Equal(clock.Add(time.Minute)) || r.Wait() != 15*time.Second {
		t.Errorf("begun: due %v, since %v, wait %v", r.Due.UTC(), r.Since.UTC(), r.Wait())
	}
	o, err := l.Overview(t.Context(), account)
	if err != nil || o.Oldest[tasks.StateCalling] != 0 {
		t.Errorf("Overview: oldest %v, %v; want 0", o.Oldest, err)
	}
}

func TestOneProcessSweepsUntilItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		a, b := open(t, c, 0), open(t, c, 0)
		lead := func(l *ledger.Ledger, want bool) {
			t.Helper()
			if got, err := l.TryLock(t.Context(), account, "sweep", time.Minute); err != nil || got != want {
				t.Errorf("TryLock: %v, %v; want %v", got, err, want)
			}
		}
		lead(a, true)
		lead(b, false)
		time.Sleep(40 * time.Second)
		lead(a, true)
		time.Sleep(40 * time.Second)
		lead(b, false)
		time.Sleep(21 * time.Second)
		lead(b, true)
		lead(a, false)
	})
}

func TestASettingThatCannotWorkIsRefused(t *testing.T) {
	_, c := redistest.Mini(t)
	keys := ring(t, dataKey)
	for name, config := range map[string]ledger.Config{
		"no Redis":      {Keys: keys},
		"no keys":       {Redis: c},
		"negative keep": {Redis: c, Keys: keys, Keep: -time.Hour},
		"no keep":       {Redis: c, Keys: keys, Keep: time.Microsecond},
		"zero keyring":  {Redis: c, Keys: seal.Keyring{}, Keep: time.Hour},
	} {
		if _, err := ledger.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheSameRequestIsToldFromAnother(t *testing.T) {
	j, _ := personal("a")
	record := tasks.Record{Job: j}
	if !record.SameRequest(j) {
		t.Error("a request differs from itself")
	}
	moved := j
	moved.Batch = "april.csv"
	if !record.SameRequest(moved) {
		t.Error("the batch is not part of the request")
	}
	for name, change := range map[string]func(*tasks.Job){
		"mail":           func(j *tasks.Job) { j.Request.ContactMail = "x@example.com" },
		"callback":       func(j *tasks.Job) { j.CallbackURL = "" },
		"metadata gone":  func(j *tasks.Job) { j.Metadata = nil },
		"metadata value": func(j *tasks.Job) { j.Metadata = map[string]string{"tenant": "8"} },
		"metadata key":   func(j *tasks.Job) { j.Metadata = map[string]string{"other": j.Metadata["tenant"]} },
	} {
		other := j
		change(&other)
		if record.SameRequest(other) {
			t.Errorf("%s: taken for the same request", name)
		}
	}
}
