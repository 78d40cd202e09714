package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// judging is an API in front of another that answers what its rules say.
type judging struct {
	worker.API
	mu sync.Mutex
	// create and list return the answer to a name, or nil for that of the API behind.
	create, list func(name string) error
	calls        map[string]int // creates by name
	lists        int
}

func (j *judging) with(s *setup) {
	j.calls = map[string]int{}
	j.API, s.Lanes[0].API = s.Lanes[0].API, j
}

// set changes the rules while it runs.
func (j *judging) set(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

func (j *judging) CreateInstance(ctx context.Context, r cams.CreateInstanceRequest) (cams.Instance, error) {
	j.mu.Lock()
	j.calls[r.InstanceName]++
	var err error
	if j.create != nil {
		err = j.create(r.InstanceName)
	}
	j.mu.Unlock()
	if err != nil {
		return cams.Instance{}, err
	}
	return j.API.CreateInstance(ctx, r)
}

func (j *judging) SearchPage(ctx context.Context, q *cams.Search) (bool, error) {
	j.mu.Lock()
	j.lists++
	var err error
	if j.list != nil {
		err = j.list(q.InstanceName)
	}
	j.mu.Unlock()
	if err != nil {
		return false, err
	}
	return j.API.SearchPage(ctx, q)
}

// creates is how many creates were asked for.
func (j *judging) creates() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.calls {
		n += c
	}
	return n
}

func (j *judging) looks() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lists
}

// no is an answer of the API that says no.
func no(status int, code string) func(string) error {
	return func(string) error { return &cams.Error{Sent: true, Status: status, Code: code} }
}

// onlyFor answers a name, and nothing to others.
func onlyFor(name string, answer func(string) error) func(string) error {
	return func(n string) error {
		if n != name {
			return nil
		}
		return answer(n)
	}
}

// judged is a cluster with one worker behind an API that judges.
func judged(t *testing.T, changes ...func(*setup)) (*cluster, *judging) {
	w, j := newCluster(t, camstest.Config{Calm: true}), new(judging)
	w.start(func(_ *process, s *setup) {
		j.with(s)
		for _, change := range changes {
			change(s)
		}
	})
	return w, j
}

func (w *cluster) inState(want tasks.State, ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		if r := w.record(id); r.State != want {
			w.t.Errorf("job %s is %s (%s %s), want %s", id, r.State, r.Code, r.Message, want)
		}
	}
}

// The account refuses everything, in words of any kind: it is asked now and then, no job
// ends, the code can be read, and all are created when it lets them in.
func TestNoJobEndsWhileTheAccountIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		create, list func(string) error
		code         string
		most         int // creates in two minutes
	}{
		{"not subscribed", no(400, "Product.Unsubscript"), nil, "Product.Unsubscript", 20},
		{"not subscribed, lists too", no(400, "Product.Unsubscript"), no(400, "Product.Unsubscript"), "Product.Unsubscript", 0},
		{"no balance, as a business answer", no(200, "isv.AMOUNT_NOT_ENOUGH"), nil, "isv.AMOUNT_NOT_ENOUGH", 20},
		{"a web server's page", no(404, ""), no(404, ""), "HTTP.404", 0},
		{"an unknown code", no(400, "Chatapp.Nope"), nil, "Chatapp.Nope", 50},
		{"an unknown code, lists too", no(400, "Chatapp.Nope"), no(400, "Chatapp.Nope"), "Chatapp.Nope", 0},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			w, j := judged(t)
			j.set(func() { j.create, j.list = tt.create, tt.list })
			jobs := names("shop", 60)
			w.enqueue(jobs...)
			time.Sleep(2 * time.Minute)
			for _, id := range jobs {
				if r := w.record(id); r.State.Final() || r.State == tasks.StateHeld {
					t.Errorf("job %s is %s (%s), want it to wait", id, r.State, r.Code)
				}
			}
			trip := w.trip()
			if trip == nil || trip.Code != tt.code {
				t.Fatalf("the lane: %+v, want it tripped by %s", trip, tt.code)
			}
			if n := j.creates(); n > tt.most {
				t.Errorf("%d creates, want one probe at a time: at most %d", n, tt.most)
			}
			if n := j.looks(); tt.list != nil && n > 60 {
				t.Errorf("%d lists, want one probe at a time", n)
			}
			if n := strings.Count(w.log.String(), "refuses the account") + strings.Count(w.log.String(), "the API is away"); n > 2 {
				t.Errorf("the log says it %d times, want it once", n)
			}
			j.set(func() { j.create, j.list = nil, nil })
			w.awaitEnd(time.Hour, jobs...)
			w.wantCreated(jobs...)
		})
	}
}

// A job that is alone in a refused account is refused again and again, and nothing says
// that the fault is its own.
func TestAJobAloneWaitsForItsAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, j := judged(t)
		j.set(func() { j.create = no(400, "Product.Unsubscript") })
		w.enqueue("shop")
		time.Sleep(45 * time.Minute)
		if r := w.record("shop"); r.State != tasks.StateQueued || j.creates() < 8 {
			t.Errorf("after %d creates the job is %s (%s), want it to wait", j.creates(), r.State, r.Code)
		}
		j.set(func() { j.create = nil })
		w.awaitEnd(time.Hour, "shop")
		w.wantCreated("shop")
	})
}

// Flow control with a code that the vendor documents for this product slows the account
// down, and fails nothing.
func TestFlowControlInAnyWordsFailsNothing(t *testing.T) {
	t.Parallel()
	pause := func(string) error {
		return &cams.Error{Sent: true, Status: 400, Code: "Some.New.Limit", RetryAfter: 800 * time.Millisecond}
	}
	for name, answer := range map[string]func(string) error{
		"System.LimitControl": no(400, "System.LimitControl"), "isv.BUSINESS_LIMIT_CONTROL": no(400, "isv.BUSINESS_LIMIT_CONTROL"),
		"an unknown code and a pause": pause, "429": no(429, "E1001"),
	} {
		bubble(t, name, func(t *testing.T) {
			w, j := judged(t)
			second, n := int64(0), 0
			j.set(func() {
				j.create = func(name string) error {
					if now := time.Now().Unix(); now != second {
						second, n = now, 0
					}
					if n++; n > 8 {
						return answer(name)
					}
					return nil
				}
			})
			jobs := names("shop", 60)
			w.enqueue(jobs...)
			w.awaitEnd(5*time.Minute, jobs...)
			w.wantCreated(jobs...)
			if trip := w.trip(); trip != nil {
				t.Errorf("the lane is tripped: %+v", trip)
			}
		})
	}
}

// One job that is refused for itself ends with its code, and holds up no other.
func TestAJobThatIsRefusedForItselfHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(string) error{
		"a code of the account": no(403, "Forbidden.ResourceGroup"),
		"a firewall's page":     no(403, ""),
		"an unknown code":       no(400, "Chatapp.Nope"),
	} {
		bubble(t, name, func(t *testing.T) {
			w, j := judged(t)
			j.set(func() { j.create = onlyFor("poison", answer) })
			w.enqueue("poison")
			w.await("its first refusal", time.Minute, func() bool { return j.creates() > 0 })
			w.await("a next probe that is 18 s away, or its end", time.Hour, func() bool {
				trip := w.trip()
				return trip != nil && time.Until(trip.ProbeAt) > 18*time.Second || w.record("poison").State.Final()
			})
			start := time.Now()
			w.enqueue(names("fresh", 3)...)
			w.awaitEnd(time.Minute, names("fresh", 3)...)
			w.wantCreated(names("fresh", 3)...)
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("others waited %v", took)
			}
			start = time.Now()
			w.enqueue(names("shop", 200)...)
			w.awaitEnd(5*time.Minute, names("shop", 200)...)
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("200 others took %v, and 4 s at the account's pace", took)
			}
			w.awaitEnd(time.Hour, "poison")
			w.inState(tasks.StateFailed, "poison")
			code := w.record("poison").Code
			if want := answer("").(*cams.Error).Code; code != want && code != fmt.Sprintf("HTTP.%d", answer("").(*cams.Error).Status) {
				t.Errorf("it failed with %s, want the API's own code %q", code, want)
			}
			if trip := w.trip(); trip != nil {
				t.Errorf("the lane is tripped: %+v", trip)
			}
		})
	}
}

// Ten such jobs in an import cost it next to nothing, and each ends with its code.
func TestSomeJobsThatAreRefusedForThemselvesDoNotStopAnImport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, j := judged(t)
		j.set(func() {
			j.create = func(name string) error {
				if strings.HasPrefix(name, "poison") {
					return no(403, "Forbidden.ResourceGroup")(name)
				}
				return nil
			}
		})
		poison, jobs := names("poison", 10), names("shop", 200)
		for i, id := range jobs {
			if i%20 == 0 {
				w.enqueue(poison[i/20])
			}
			w.enqueue(id)
		}
		start := time.Now()
		w.awaitEnd(5*time.Minute, jobs...)
		w.wantCreated(jobs...)
		if took := time.Since(start); took > 60*time.Second {
			t.Errorf("200 jobs beside 10 that are refused took %v, and 4 s at the account's pace", took)
		}
		w.awaitEnd(time.Hour, poison...)
		w.inState(tasks.StateFailed, poison...)
	})
}

// A job alone that meets an unknown code is looked up, tried again a few times, and fails
// with the code.
func TestAnUnknownCodeHasASmallBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, j := judged(t)
		j.set(func() { j.create = no(400, "Chatapp.Nope") })
		w.enqueue("shop")
		w.awaitEnd(time.Hour, "shop")
		r := w.record("shop")
		want(t, "state, code, creates", []any{r.State, r.Code, j.creates()}, []any{tasks.StateFailed, "Chatapp.Nope", 3})
	})
}

// The code that the API gave last is told, not that the budget is spent.
func TestASpentBudgetTellsTheLastCode(t *testing.T) {
	t.Parallel()
	for _, answer := range []*cams.Error{
		{Sent: true, Status: 400, Code: "ServiceBusy", Message: "later"}, {Sent: true, Status: 200, Code: "SystemBusy"},
	} {
		bubble(t, answer.Code, func(t *testing.T) {
			w, j := judged(t, func(s *setup) { s.MaxTries = 3 })
			j.set(func() { j.create = func(string) error { return answer } })
			w.enqueue("shop")
			w.awaitEnd(time.Hour, "shop")
			r := w.record("shop")
			want(t, "state, code, creates", []any{r.State, r.Code, j.creates()}, []any{tasks.StateFailed, answer.Code, 3})
		})
	}
}

// A list that is refused for one name ends that job before any call, and no other.
func TestAJobWhoseLookIsRefusedEndsWithTheCode(t *testing.T) {
	t.Parallel()
	for _, answer := range []func(string) error{no(400, "InvalidParameter.InstanceName"), no(400, "Chatapp.Nope"), no(405, "")} {
		bubble(t, answer("").Error(), func(t *testing.T) {
			w, j := judged(t)
			j.set(func() { j.list = onlyFor("poison", answer) })
			w.enqueue("poison")
			jobs := names("shop", 60)
			w.enqueue(jobs...)
			w.awaitEnd(time.Minute, jobs...)
			w.wantCreated(jobs...)
			w.enqueue(names("later", 5)...)
			w.awaitEnd(time.Hour, append(names("later", 5), "poison")...)
			w.inState(tasks.StateFailed, "poison")
			want(t, "creates of it", w.cloud.Created("poison"), 0)
		})
	}
}
