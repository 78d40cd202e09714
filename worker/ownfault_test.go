package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// Jobs that are refused for themselves are the only ones for a while, and go before all
// others: the first other job is asked at once when it comes, and the lane is open again.
func TestUrgentJobsThatAreRefusedForThemselvesTakeNoProbeFromOthers(t *testing.T) {
	t.Parallel()
	for _, urgent := range []bool{false, true} {
		bubble(t, fmt.Sprintf("urgent: %v", urgent), func(t *testing.T) {
			w, j := judged(t)
			j.set(func() {
				j.create = func(name string) error {
					if strings.HasPrefix(name, "poison") {
						return no(403, "Forbidden.ResourceGroup")(name)
					}
					return nil
				}
			})
			poison, jobs := names("poison", 5), names("shop", 50)
			if urgent {
				w.enqueueHigh(poison...)
			} else {
				w.enqueue(poison...)
			}
			w.await("the breaker", time.Minute, func() bool { return w.trip() != nil })
			time.Sleep(10 * time.Minute)
			if n := j.creates(); n > 20 {
				t.Errorf("%d creates in ten minutes, want one probe at a time", n)
			}
			start := time.Now()
			w.enqueue(jobs...)
			w.awaitEnd(5*time.Hour, jobs...)
			w.wantCreated(jobs...)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("50 others waited %v, and take 3 s at the account's pace", took)
			}
			w.awaitEnd(time.Hour, poison...)
			w.inState(tasks.StateFailed, poison...)
		})
	}
}

// The account refuses all with codes that nothing is known of and that change from answer
// to answer: it is the account all the same, and no job ends.
func TestUnknownCodesThatChangeAreTheAccountsToo(t *testing.T) {
	t.Parallel()
	for _, codes := range []int{2, 1000} {
		bubble(t, fmt.Sprintf("%d codes", codes), func(t *testing.T) {
			w, j := judged(t)
			n := 0
			j.set(func() {
				j.create = func(name string) error {
					n++
					return no(400, fmt.Sprintf("Chatapp.Nope%d", n%codes))(name)
				}
			})
			jobs := names("shop", 60)
			w.enqueue(jobs...)
			w.await("the breaker", time.Minute, func() bool { return w.trip() != nil })
			time.Sleep(time.Hour)
			w.inState(tasks.StateQueued, jobs[59])
			for _, id := range jobs {
				if r := w.record(id); r.State.Final() || r.State == tasks.StateHeld {
					t.Errorf("job %s is %s (%s), want it to wait", id, r.State, r.Code)
				}
			}
			j.set(func() { j.create = nil })
			w.awaitEnd(time.Hour, jobs...)
			w.wantCreated(jobs...)
		})
	}
}

// The looks for the instance of one job's lost call are refused for ever: once nothing more
// can be learned an operator must tell, and the job does not wait without end. Nothing is
// called again.
func TestAJobInDoubtWhoseLooksAreRefusedIsHeld(t *testing.T) {
	t.Parallel()
	never := func(string) error {
		return &cams.Error{Sent: true, Status: 200, Code: "OK", Err: fmt.Errorf("the list has 1 of its 17 instances: pages are missing")}
	}
	for code, answer := range map[string]func(string) error{
		"InvalidParameter.InstanceName": no(400, "InvalidParameter.InstanceName"), "Chatapp.Nope": no(400, "Chatapp.Nope"),
		"Forbidden.ResourceGroup": no(403, "Forbidden.ResourceGroup"), "HTTP.403": no(403, ""), tasks.CodeContradicted: never,
	} {
		bubble(t, code, func(t *testing.T) {
			w, j := judged(t)
			j.set(func() { j.create = onlyFor("poison", func(string) error { return noAnswer() }) })
			w.enqueue("poison")
			w.await("the lost answer", time.Minute, func() bool { return w.record("poison").State == tasks.StateUncertain })
			j.set(func() { j.list = onlyFor("poison", answer) })
			for i := range 12 {
				w.enqueue(fmt.Sprint("shop-", i)) // others are let in
				w.awaitEnd(time.Minute, fmt.Sprint("shop-", i))
				time.Sleep(5 * time.Minute)
			}
			w.awaitEnd(2*time.Hour, "poison")
			r := w.record("poison")
			want(t, "state, code, calls", []any{r.State, r.Code, j.calls["poison"]}, []any{tasks.StateHeld, code, 1})
			if !strings.Contains(r.Message, "the API refuses the lookups") {
				t.Errorf("the message does not say why: %s", r.Message)
			}
			if trip := w.trip(); trip != nil {
				t.Errorf("the lane is tripped: %+v", trip)
			}
		})
	}
}

// One job is turned away by flow control each time, and told to wait: that is its own wait,
// and the account goes on at its pace.
func TestAJobThatIsThrottledForItselfSlowsNoOtherDown(t *testing.T) {
	t.Parallel()
	for _, answer := range []*cams.Error{
		{Sent: true, Status: 400, Code: "InvalidParameter", RetryAfter: time.Minute},
		{Sent: true, Status: 429, Code: "E1001", RetryAfter: 20 * time.Second},
	} {
		bubble(t, answer.Code, func(t *testing.T) {
			w, j := judged(t)
			j.set(func() { j.create = onlyFor("poison", func(string) error { return answer }) })
			w.enqueue("poison")
			for i := range 20 { // others are let in
				w.enqueue(fmt.Sprint("shop-", i))
				w.awaitEnd(10*time.Minute, fmt.Sprint("shop-", i))
				time.Sleep(5 * time.Minute)
			}
			start := time.Now()
			calls := j.creates()
			for i := range 100 {
				w.enqueue(fmt.Sprint("later-", i))
				w.awaitEnd(10*time.Minute, fmt.Sprint("later-", i))
				time.Sleep(10 * time.Second)
			}
			took := time.Since(start)
			if j.creates() < calls+101 {
				t.Fatal("the job was not called meanwhile")
			}
			if took > 23*time.Minute { // with a second for each look of the test itself
				t.Errorf("a job each 10 s: 100 took %v", took)
			}
		})
	}
}

// No list is ever whole: the API's TotalCount counts the instances of other names too. All
// jobs wait, and the lane says so.
func TestListsThatAreNeverWholeTripTheLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, j := judged(t)
		j.set(func() {
			j.list = func(string) error {
				return &cams.Error{Sent: true, Status: 200, Code: "OK", Err: fmt.Errorf("the list has 1 of its 17 instances: pages are missing")}
			}
		})
		jobs := names("shop", 20)
		w.enqueue(jobs...)
		w.await("the breaker", time.Minute, func() bool { return w.trip() != nil })
		time.Sleep(10 * time.Minute)
		trip := w.trip()
		if trip == nil {
			t.Fatal("the lane is open again")
		}
		want(t, "code, action", []string{trip.Code, trip.Action}, []string{tasks.CodeContradicted, worker.ActionList})
		if n := j.looks(); n > 60 {
			t.Errorf("%d looks in ten minutes, want one probe at a time", n)
		}
		if r := w.record(jobs[0]); r.State != tasks.StateQueued {
			t.Errorf("a job is %s (%s)", r.State, r.Code)
		}
		j.set(func() { j.list = nil })
		w.awaitEnd(time.Hour, jobs...)
		w.wantCreated(jobs...)
	})
}

// An account is let in and refused by turns, as while a permission spreads through a
// cloud: jobs that are refused some times more than others are not at fault.
func TestAnAccountThatIsRefusedNowAndThenFailsNoJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, j := judged(t)
		jobs := names("shop", 100)
		j.set(func() {
			j.create = func(name string) error {
				var n int
				if _, err := fmt.Sscanf(name, "shop-%d", &n); err == nil && j.calls[name] <= n%6 {
					return no(403, "Forbidden.RAM")(name)
				}
				return nil
			}
		})
		w.enqueue(jobs...)
		w.awaitEnd(10*time.Hour, jobs...)
		w.wantCreated(jobs...)
	})
}
