package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// file puts jobs into a batch.
func file(t testing.TB, c redis.UniversalClient, batch string, ids ...string) {
	t.Helper()
	var jobs []tasks.Job
	for _, id := range ids {
		j := job(id)
		j.Batch = batch
		jobs = append(jobs, j)
	}
	insert(t, c, jobs...)
}

// end takes a queued job to a final state, and returns what that completes.
func end(t testing.TB, l *ledger.Ledger, id string, to tasks.State, code string) int64 {
	t.Helper()
	r := get(t, l, id)
	way := route(to)
	for i, by := range way {
		if i == len(way)-1 {
			r.Code = code
		}
		r = step(t, l, r, by)
	}
	return r.Completes
}

func closeBatch(t testing.TB, l *ledger.Ledger, batch string) int64 {
	t.Helper()
	n, err := l.CloseBatch(t.Context(), account, batch)
	noError(t.(*testing.T), err)
	return n
}

func batch(t testing.TB, l *ledger.Ledger, name string) tasks.Batch {
	t.Helper()
	b, err := l.Batch(t.Context(), account, name)
	if err != nil || b == nil {
		t.Fatalf("Batch(%s): %v, %v", name, b, err)
	}
	return *b
}

func completion(t testing.TB, l *ledger.Ledger, name string, n int64) tasks.Completion {
	t.Helper()
	c, err := l.Completion(t.Context(), tasks.BatchRef{Account: account, Batch: name, Completion: n})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// body is what the webhook would say.
func body(t testing.TB, c tasks.Completion) string {
	t.Helper()
	text, err := tasks.EncodeEvent(c.Event())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestABatchIsCompletedByItsEndWhicheverComesLast(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		for name, closeAt := range map[string]int{"closed first": 0, "closed between": 2, "closed last": 3} {
			var ids []string
			for i := range 3 {
				ids = append(ids, fmt.Sprintf("%d-%d", closeAt, i))
			}
			file(t, c, name, ids...)
			var got []int64
			for i, to := range []tasks.State{tasks.StateCreated, tasks.StateFailed, tasks.StateCancelled} {
				if i == closeAt {
					got = append(got, closeBatch(t, l, name))
				}
				got = append(got, end(t, l, ids[i], to, "X"))
			}
			if closeAt == 3 {
				got = append(got, closeBatch(t, l, name))
			}
			if want := []int64{0, 0, 0, 1}; !slices.Equal(got, want) {
				t.Errorf("%s: the steps complete %v, want %v", name, got, want)
			}
			b, cp := batch(t, l, name), completion(t, l, name, 1)
			if b.Completed.IsZero() || b.Closed.IsZero() || b.Completions != 1 || b.Open() != 0 {
				t.Errorf("%s: %+v", name, b)
			}
			b.Now = time.Time{}
			if diff := cmp.Diff(b, cp.Facts); diff != "" {
				t.Errorf("%s: the completion's facts (-batch +facts):\n%s", name, diff)
			}
			if cp.Callback != (tasks.CallbackProgress{State: tasks.CallbackOwed}) {
				t.Errorf("%s: callback %+v", name, cp.Callback)
			}
			if again := closeBatch(t, l, name); again != 1 || batch(t, l, name).Completions != 1 {
				t.Errorf("%s: closing again, while it is owed, returns %d", name, again)
			}
			noError(t, l.UpdateCompletion(t.Context(), cp, tasks.CallbackProgress{State: tasks.CallbackDead}))
			if again := closeBatch(t, l, name); again != 0 || batch(t, l, name).Completions != 1 {
				t.Errorf("%s: closing again returns %d", name, again)
			}
		}
		if want := []string{"closed between#1", "closed first#1", "closed last#1"}; !slices.Equal(members(t, c, "batches:dead"), want) {
			t.Errorf("dead: %q", members(t, c, "batches:dead"))
		}
	})
}

func TestABatchIsNotCompletedBefore(t *testing.T) {
	for _, s := range []tasks.State{tasks.StateQueued, tasks.StateCalling, tasks.StateUncertain, tasks.StateHeld} {
		t.Run(string(s), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
				l := open(t, c, 0)
				file(t, c, "march", "a")
				j := job("open")
				j.Batch = "march"
				place(t, c, l, j, s)
				if n := end(t, l, "a", tasks.StateCreated, "OK") + closeBatch(t, l, "march"); n != 0 {
					t.Errorf("completed with a job that is %s", s)
				}
				if b := batch(t, l, "march"); !b.Completed.IsZero() || b.Closed.IsZero() || b.Completions != 0 {
					t.Errorf("the batch: %+v", b)
				}
			})
		})
	}
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		file(t, c, "march", "a")
		if n := end(t, l, "a", tasks.StateCreated, "OK"); n != 0 {
			t.Error("completed though nobody has closed it")
		}
		if n := closeBatch(t, l, "april"); n != 0 {
			t.Error("a batch that is not there is completed")
		}
		if b, err := l.Batch(t.Context(), account, "april"); b != nil || err != nil {
			t.Errorf("closing has made a batch: %+v, %v", b, err)
		}
	})
}

func TestABatchThatGoesOnIsCompletedAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		file(t, c, "march", "a", "b")
		closeBatch(t, l, "march")
		end(t, l, "a", tasks.StateCreated, "OK")
		end(t, l, "b", tasks.StateFailed, "InvalidParameter.X")
		first := body(t, completion(t, l, "march", 1))

		// An operator puts a job back.
		r := step(t, l, get(t, l, "b"), tasks.StepRetried)
		if b := batch(t, l, "march"); !b.Completed.IsZero() || b.Closed.IsZero() || len(b.Codes) != 0 || r.Completes != 0 {
			t.Errorf("with a job that was put back: %+v", b)
		}
		if n := end(t, l, "b", tasks.StateCreated, "OK"); n != 2 {
			t.Errorf("its end completes %d, want 2", n)
		}
		// More jobs come under the name: nobody has closed them.
		file(t, c, "march", "c")
		if b := batch(t, l, "march"); !b.Completed.IsZero() || !b.Closed.IsZero() {
			t.Errorf("with another job: %+v", b)
		}
		if n := end(t, l, "c", tasks.StateFailed, "Y"); n != 0 {
			t.Errorf("its end completes %d, and nobody has closed the batch again", n)
		}
		if n := closeBatch(t, l, "march"); n != 3 {
			t.Errorf("closing completes %d, want 3", n)
		}
		// What was completed is told as it was, whatever became of it.
		if again := body(t, completion(t, l, "march", 1)); again != first {
			t.Errorf("the first completion now says\n%s\nit said\n%s", again, first)
		}
		ids := map[string]bool{}
		for n := range int64(3) {
			ids[tasks.EventID([]byte(body(t, completion(t, l, "march", n+1))))] = true
		}
		if len(ids) != 3 {
			t.Errorf("three completions have %d IDs", len(ids))
		}
		want := tasks.EventBatchJobs{Total: 3, Created: 2, Failed: 1}
		if e := completion(t, l, "march", 3).Event().Data.Batch; e.Jobs != want || !maps.Equal(e.Codes, map[string]int64{"Y": 1}) {
			t.Errorf("the third completion: %+v", e)
		}
	})
}

func TestHowFarACompletionIsToldIsWrittenByCompareAndSwap(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		file(t, c, "march", "a")
		end(t, l, "a", tasks.StateCreated, "OK")
		closeBatch(t, l, "march")
		note := func(cp tasks.Completion, to tasks.CallbackProgress) error {
			return l.UpdateCompletion(t.Context(), cp, to)
		}
		lists := func(what string, owed, dead []string) {
			t.Helper()
			o, err := l.Overview(t.Context(), account)
			noError(t, err)
			if got := members(t, c, "batches:owed"); !slices.Equal(got, owed) || o.PendingCallbacks != int64(len(owed)) {
				t.Errorf("%s: owed %q, counted %d", what, got, o.PendingCallbacks)
			}
			if got := members(t, c, "batches:dead"); !slices.Equal(got, dead) || o.DeadCallbacks != int64(len(dead)) {
				t.Errorf("%s: dead %q, counted %d", what, got, o.DeadCallbacks)
			}
		}
		one, none := []string{"march#1"}, []string{}
		lists("completed", one, none)
		first := completion(t, l, "march", 1)
		tried := tasks.CallbackProgress{State: tasks.CallbackOwed, Tries: 1, Reason: tasks.ReasonTimeout}
		noError(t, note(first, tried))
		noError(t, note(first, tried)) // as after a reply that was lost
		if err := note(first, tasks.CallbackProgress{State: tasks.CallbackDelivered}); !errors.Is(err, tasks.ErrConflict) {
			t.Errorf("a write from an old revision: %v", err)
		}
		second := completion(t, l, "march", 1)
		if second.Callback != tried {
			t.Errorf("callback: %+v", second.Callback)
		}
		noError(t, note(second, tasks.CallbackProgress{State: tasks.CallbackDead, Tries: 2}))
		lists("given up", none, one)
		noError(t, note(completion(t, l, "march", 1), tasks.CallbackProgress{State: tasks.CallbackOwed}))
		lists("replayed", one, none)

		// The next completion comes while the first is owed: both are told.
		file(t, c, "march", "b")
		end(t, l, "b", tasks.StateCreated, "OK")
		if n := closeBatch(t, l, "march"); n != 2 {
			t.Fatalf("completion %d", n)
		}
		lists("two", []string{"march#1", "march#2"}, none)
		noError(t, note(completion(t, l, "march", 1), tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1}))
		lists("one told", []string{"march#2"}, none)
		missing := tasks.BatchRef{Account: account, Batch: "march", Completion: 1}
		if _, err := l.Completion(t.Context(), missing); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("one that was told and is not the last: %v", err)
		}
		if err := note(tasks.Completion{BatchRef: missing}, tried); !errors.Is(err, tasks.ErrNotFound) {
			t.Errorf("a note of it: %v", err)
		}
		noError(t, note(completion(t, l, "march", 2), tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1}))
		lists("all told", none, none)
		if got := completion(t, l, "march", 2).Callback.State; got != tasks.CallbackDelivered {
			t.Errorf("the last completion: %s", got)
		}
	})
}

// A producer that closes after each job must not fill Redis with what was told.
func TestOnlyTheLastOfManyCompletionsThatWereToldIsKept(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		for i := range 20 {
			id := fmt.Sprint("j", i)
			file(t, c, "stream", id)
			end(t, l, id, tasks.StateCreated, "OK")
			n := closeBatch(t, l, "stream")
			noError(t, l.UpdateCompletion(t.Context(), completion(t, l, "stream", n), tasks.CallbackProgress{State: tasks.CallbackDelivered}))
		}
		if fields := c.HKeys(t.Context(), prefix+"completions:stream").Val(); len(fields) != 2 {
			t.Errorf("kept: %q", fields)
		}
	})
}

func TestOneOfManyWhoEndABatchCompletesIt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		var ids []string
		for i := range 20 {
			ids = append(ids, fmt.Sprint("j", i))
		}
		file(t, c, "march", ids...)
		var mu sync.Mutex
		var all []int64
		note := func(n int64, err error) {
			mu.Lock()
			defer mu.Unlock()
			if all = append(all, n); err != nil {
				t.Error(err)
			}
		}
		var ending sync.WaitGroup
		for _, id := range ids {
			r := get(t, l, id)
			ending.Go(func() {
				r, err := l.Transition(t.Context(), r, tasks.StepCancel, 0)
				note(r.Completes, err)
			})
			ending.Go(func() {
				_, err := l.CloseBatch(t.Context(), account, "march")
				note(0, err)
			})
		}
		ending.Wait()
		slices.Sort(all)
		if b := batch(t, l, "march"); b.Completions != 1 || all[len(all)-2] != 0 {
			t.Errorf("completions: %d, by the steps %v, want one", b.Completions, all)
		}
	})
}

func TestCodesOfABatchAreCountedWithinBounds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprint("j", i))
		}
		file(t, c, "march", ids...)
		for i, id := range ids {
			code := fmt.Sprintf("Code.%d", i)
			switch {
			case i < 5:
				code = "Code/\"é\\0"
			case i == 5:
				code = strings.Repeat("x", 65)
			case i == 6:
				code = ""
			}
			end(t, l, id, tasks.StateFailed, code)
		}
		b := batch(t, l, "march")
		var sum int64
		for _, n := range b.Codes {
			sum += n
		}
		if sum != 100 || b.Codes["Code/\"é\\0"] != 5 || b.Codes[tasks.CodeOther] < 2 || len(b.Codes) < 40 || len(b.Codes) > 65 {
			t.Errorf("%d jobs under %d codes: %v", sum, len(b.Codes), b.Codes)
		}
		for _, id := range ids {
			step(t, l, get(t, l, id), tasks.StepRetried)
		}
		if b := batch(t, l, "march"); len(b.Codes) != 0 {
			t.Errorf("with every job put back: %v", b.Codes)
		}
	})
}

func TestABatchBeginsWithTheFirstJobThatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, 0)
		start := time.Now()
		for i := range 3 {
			file(t, c, "march", fmt.Sprint("j", i))
			time.Sleep(time.Minute)
		}
		closed := time.Now()
		closeBatch(t, l, "march")
		for _, id := range []string{"j1", "j2", "j0"} {
			time.Sleep(time.Minute)
			end(t, l, id, tasks.StateCreated, "OK")
		}
		time.Sleep(time.Minute)
		closeBatch(t, l, "march")
		b := batch(t, l, "march")
		if !b.Started.Equal(start) || !b.Closed.Equal(closed) || !b.Completed.Equal(closed.Add(3*time.Minute)) || !b.Now.Equal(closed.Add(4*time.Minute)) {
			t.Errorf("started %v, closed %v, completed %v, now %v", b.Started, b.Closed, b.Completed, b.Now)
		}
	})
}

func TestACompletionExpiresWithItsJobsAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, time.Hour)
		for _, name := range []string{"owed", "dead"} {
			file(t, c, name, name)
			end(t, l, name, tasks.StateCreated, "OK")
			closeBatch(t, l, name)
		}
		noError(t, l.UpdateCompletion(t.Context(), completion(t, l, "dead", 1), tasks.CallbackProgress{State: tasks.CallbackDead}))
		time.Sleep(59 * time.Minute)
		noError(t, l.Prune(t.Context(), account))
		if got := append(members(t, c, "batches:owed"), members(t, c, "batches:dead")...); !slices.Equal(got, []string{"owed#1", "dead#1"}) {
			t.Errorf("after 59 min: %q", got)
		}
		time.Sleep(2 * time.Minute)
		noError(t, l.Prune(t.Context(), account))
		for _, key := range c.Keys(t.Context(), "camsq:*").Val() {
			if strings.Contains(key, "batch") || strings.Contains(key, "completion") {
				t.Errorf("left: %s", key)
			}
		}

		// The name begins anew, and so do its completions.
		file(t, c, "owed", "later")
		closeBatch(t, l, "owed")
		if n := end(t, l, "later", tasks.StateCreated, "OK"); n != 1 {
			t.Errorf("completion %d", n)
		}
	})
}

// The counts of a batch may expire before what was told of it does.
func TestABatchOfANameThatWasToldBeforeIsToldToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, time.Hour)
		file(t, c, "daily", "monday")
		closeBatch(t, l, "daily")
		end(t, l, "monday", tasks.StateCreated, "OK")
		time.Sleep(30 * time.Minute)
		noError(t, l.UpdateCompletion(t.Context(), completion(t, l, "daily", 1), tasks.CallbackProgress{State: tasks.CallbackDelivered}))
		time.Sleep(45 * time.Minute)
		file(t, c, "daily", "tuesday")
		closeBatch(t, l, "daily")
		if n := end(t, l, "tuesday", tasks.StateCreated, "OK"); n != 1 {
			t.Fatalf("completion %d", n)
		}
		cp := completion(t, l, "daily", 1)
		if cp.Callback.State != tasks.CallbackOwed || cp.Facts.Jobs[tasks.StateCreated] != 1 || !slices.Equal(members(t, c, "batches:owed"), []string{"daily#1"}) {
			t.Errorf("tuesday's completion: %+v; owed %q", cp, members(t, c, "batches:owed"))
		}
	})
}

func TestACompletionThatCannotBeReadIsNamed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		file(t, c, "march", "a")
		closeBatch(t, l, "march")
		end(t, l, "a", tasks.StateCreated, "OK")
		ref := tasks.BatchRef{Account: account, Batch: "march", Completion: 1}
		for _, damage := range [][2]string{{"1", "rubbish"}, {"1:callback", "rubbish"}} {
			old := c.HGet(t.Context(), prefix+"completions:march", damage[0]).Val()
			noError(t, c.HSet(t.Context(), prefix+"completions:march", damage[0], damage[1]).Err())
			if _, err := l.Completion(t.Context(), ref); !errors.Is(err, tasks.ErrUnreadable) || !strings.Contains(err.Error(), ref.String()) {
				t.Errorf("with a damaged %s: %v", damage[0], err)
			}
			if old != "" {
				noError(t, c.HSet(t.Context(), prefix+"completions:march", damage[0], old).Err())
			}
		}
	})
}

func TestAnAccountsBatchIsItsOwn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		file(t, c, "march", "a")
		other := job("b")
		other.Account, other.Batch = "eu", "march"
		insert(t, c, other)
		closeBatch(t, l, "march")
		if n := end(t, l, "a", tasks.StateCreated, "OK"); n != 1 {
			t.Errorf("completion %d", n)
		}
		found, err := l.BatchIn(t.Context(), []string{"eu", "us", account}, "march")
		noError(t, err)
		if found[0] == nil || found[1] != nil || found[2] == nil {
			t.Fatalf("found %v", found)
		}
		if !found[0].Closed.IsZero() || found[0].Account != "eu" || found[0].Jobs[tasks.StateQueued] != 1 || found[2].Completed.IsZero() {
			t.Errorf("eu: %+v, acme: %+v", found[0], found[2])
		}
	})
}

// The facts hold nothing of the requests, and no message.
func TestNothingPersonalIsInACompletion(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		j, secrets := personal("a")
		j.Batch = "march"
		insert(t, c, j)
		closeBatch(t, l, "march")
		r := step(t, l, get(t, l, "a"), tasks.StepBegin)
		r.Code, r.Message = "X", "message of the API"
		step(t, l, r, tasks.StepRejected)
		facts, err := json.Marshal(c.HGetAll(t.Context(), prefix+"completions:march").Val())
		noError(t, err)
		for _, secret := range append(secrets, "message of the API") {
			if strings.Contains(string(facts), secret) || strings.Contains(body(t, completion(t, l, "march", 1)), secret) {
				t.Errorf("%q stands in the completion: %s", secret, facts)
			}
		}
	})
}

func TestOwedBatchesComeWithTheirAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := redistest.Mini(t)
		l := open(t, c, 0)
		for id, name := range []string{"march", "tenants #2"} {
			file(t, c, name, fmt.Sprint(id))
			closeBatch(t, l, name)
			end(t, l, fmt.Sprint(id), tasks.StateCreated, "OK")
			time.Sleep(time.Minute)
		}
		collect := func(pages iter.Seq2[[]string, error]) (all []string) {
			for keys, err := range pages {
				noError(t, err)
				all = append(all, keys...)
			}
			return all
		}
		for age, want := range map[time.Duration][]string{time.Minute: {"tenants #2#1", "march#1"}, 2 * time.Minute: {"march#1"}, 3 * time.Minute: nil} {
			if got := collect(l.OwedBatches(t.Context(), account, age)); !slices.Equal(got, want) {
				t.Errorf("owed for %v: %q, want %q", age, got, want)
			}
		}
		o, err := l.Overview(t.Context(), account)
		if err != nil || o.PendingCallbacks != 2 || o.OldestPending != 2*time.Minute {
			t.Errorf("Overview: %+v, %v", o, err)
		}
	})
}

func TestClosingIsForWhoeverSends(t *testing.T) {
	redistest.Each(t, func(t *testing.T, c redis.UniversalClient) {
		l := open(t, c, 0)
		in, err := enqueue.New(enqueue.Config{Redis: c, DataKeys: dataKey})
		noError(t, err)
		file(t, c, "march", "a")
		noError(t, in.CloseBatch(t.Context(), "march", account, "nobody"))
		if b := batch(t, l, "march"); b.Closed.IsZero() {
			t.Errorf("the batch: %+v", b)
		}
	})
}
