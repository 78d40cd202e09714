package worker_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// listExact are those that keep names as they are.
const listExact = listUpper

// late is how long what lies in a socket may stay there: a call's deadline is over by
// then, and the settle window is not.
const late = 40 * time.Second

// steps is how many steps of its first process a trial looks at: a turn has
// eight when all is well, and recovery adds some.
const steps = 14

// TestNeverCreatesTwice is the promise: whatever befalls a step, and when, the
// job has one instance, one outcome, and a callback that is queued.
func TestNeverCreatesTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen, cases := map[string]bool{}, 0
		for n := range steps * int(faultCount) * 2 * int(listings) {
			at, rest := n%steps, n/steps
			x := &trial{t: t, list: listing(rest % int(listings)), schedule: make([]fault, at+1)}
			rest /= int(listings)
			x.atOnce, x.schedule[at] = rest%2 == 1, fault(rest/2)
			x.run()
			cases++
			for _, name := range x.begun {
				seen[name] = true
			}
		}
		t.Logf("%d cases: %d steps, %d faults, redelivered at once and later, %d kinds of lists", cases, steps, faultCount, listings)
		for _, name := range []string{"get", "claim", "wait", "ListInstance", "begin", "CreateInstance", "succeeded", "ambiguous", "claimed", "found", "several", "callback"} {
			if !seen[name] {
				t.Errorf("no trial met the step %q", name)
			}
		}
	})
}

// TestNeverCreatesTwiceThoughTwoThingsGoWrong takes every two faults at every
// two steps.
func TestNeverCreatesTwiceThoughTwoThingsGoWrong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cases := 0
		defer func() { t.Logf("%d cases: every two faults at every two of %d steps", cases, steps) }()
		for at := 1; at < steps; at++ {
			for before := range at {
				for pair := range int(faultCount-1) * int(faultCount-1) {
					x := &trial{t: t, atOnce: (at+before+pair)%2 == 0, schedule: make([]fault, at+1)}
					x.schedule[before] = fault(1 + pair/int(faultCount-1))
					x.schedule[at] = fault(1 + pair%int(faultCount-1))
					x.list = listing(cases % int(listings))
					x.run()
					cases++
				}
			}
		}
	})
}

// FuzzNeverCreatesTwice reads bytes as a schedule of faults, one for each step.
func FuzzNeverCreatesTwice(f *testing.F) {
	f.Add(true, []byte{0, 0, 0, 0, 0, byte(failedDone), byte(diedAfter)})
	f.Add(false, []byte{byte(frozenAfter), byte(frozenBefore), 0, byte(redeliveredThere), 0, 0, byte(failedDone), byte(failed)})
	f.Add(true, []byte{0, 0, 0, 0, 0, 0, byte(frozenAfter), byte(failedDone), byte(failed), byte(failed), byte(frozenBefore), byte(diedBefore)})
	f.Fuzz(func(t *testing.T, atOnce bool, schedule []byte) {
		if len(schedule) > 60 {
			return // ten tries would be spent
		}
		x := &trial{t: t, atOnce: atOnce}
		for _, b := range schedule {
			x.schedule = append(x.schedule, fault(b)%faultCount)
		}
		synctest.Test(t, func(t *testing.T) {
			x.t = t
			x.run()
		})
	})
}

// FuzzSeveralJobsAndTwoWorkers reads bytes as the faults of two workers that are
// given the same three jobs, two of one name, at the same time.
func FuzzSeveralJobsAndTwoWorkers(f *testing.F) {
	f.Add(uint8(listPrompt), []byte{0, 0, 0, 0, 0, byte(failedDone), byte(diedAfter)}, []byte{byte(frozenBefore), 0, 0, byte(failedDone)})
	f.Add(uint8(listLate), []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, byte(failedDone), byte(failedDone), byte(failedDone)}, []byte{})
	f.Add(uint8(listBroken), []byte{byte(frozenAfter), byte(redeliveredThere), byte(failed)}, []byte{0, 0, 0, byte(diedAfter)})
	f.Fuzz(func(t *testing.T, list uint8, first, second []byte) {
		if len(first)+len(second) > 60 {
			return // ten tries would be spent
		}
		synctest.Test(t, func(t *testing.T) { severalJobs(t, listing(list)%listExact, first, second) })
	})
}

func severalJobs(t *testing.T, list listing, schedules ...[]byte) {
	ledger, cloud, callbacks, breaker := newFakeStore(), list.fakeAPI(), new(fakeQueue), new(fakeBreaker)
	var refs []tasks.Ref
	for id, name := range map[string]string{"a": "shop", "b": "shop", "c": "cafe"} {
		r := queued()
		r.ID, r.Request.InstanceName = id, name
		ledger.put(r)
		refs = append(refs, r.Ref())
	}
	var workers sync.WaitGroup
	trials := []*trial{{}} // the last worker meets nothing
	for _, bytes := range schedules {
		x := &trial{}
		for _, b := range bytes {
			x.schedule = append(x.schedule, fault(b)%faultCount)
		}
		trials = append([]*trial{x}, trials...)
	}
	for n, x := range trials {
		x.t, x.jobs, x.list, x.existing = t, refs, list, worker.ExistingCreate
		x.ledger, x.cloud, x.callbacks, x.breaker = ledger, cloud, callbacks, breaker
		if n < len(schedules) {
			workers.Go(func() { x.drive(x.process(true)) })
			continue
		}
		workers.Wait()
		x.drive(x.process(false))
	}
	for _, x := range trials {
		x.others.Wait()
	}

	created, owner := map[string]int{}, map[string]string{}
	for _, ref := range refs {
		r, err := ledger.Get(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.State != tasks.StateCreated || r.Instance == nil:
			t.Errorf("job %s is %s (%s): %v", r.ID, r.State, r.Code, trials)
			continue
		case owner[r.Instance.InstanceID] != "":
			t.Errorf("jobs %s and %s have one instance: %v", r.ID, owner[r.Instance.InstanceID], trials)
		case r.Callback.State != tasks.CallbackOwed || callbacks.all()[ref] == 0:
			t.Errorf("job %s: the callback is %q and was queued %d times: %v", r.ID, r.Callback.State, callbacks.all()[ref], trials)
		}
		owner[r.Instance.InstanceID] = r.ID
		created[r.Request.InstanceName]++
	}
	for name, n := range created {
		if made := cloud.made(name); made != n {
			t.Errorf("%s: %d instances for %d jobs: %v", name, made, n, trials)
		}
	}
}
