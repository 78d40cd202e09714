package demo

import (
	"fmt"
	"slices"
	"sync"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// scenarios says which jobs of the file meet which accident.
type scenarios struct{ accidents []scenario }

// scenario is what goes wrong on purpose for one job.
type scenario struct {
	job   tasks.Job
	title string
	// fault is what the cloud does to the job's first call; nil leaves it alone,
	// and the receiver fails instead.
	fault *camstest.Fault
	// mended says whether it did happen, and ended well.
	mended func(f jobTrace) bool
}

// newScenarios casts the first jobs whose instance name no other job has, since
// the cloud goes by the name.
func newScenarios(rows []demoRow) scenarios {
	names := map[string]map[tasks.Ref]bool{}
	for _, r := range rows {
		if r.err == nil {
			name := r.job.Request.InstanceName
			if names[name] == nil {
				names[name] = map[tasks.Ref]bool{}
			}
			names[name][r.job.Ref()] = true
		}
	}
	left := []scenario{
		{
			title:  "its answer was lost",
			fault:  &camstest.Fault{Created: true, Reply: camstest.ReplyReset},
			mended: func(f jobTrace) bool { return f.record.Adopted && len(f.calls) == 1 },
		},
		{
			title: "its call was throttled",
			fault: &camstest.Fault{Reply: camstest.ReplyThrottled, RetryAfter: demoPause},
			mended: func(f jobTrace) bool {
				return slices.Contains(f.outcomes(), tasks.OutcomeThrottled) && f.record.Tries == 1
			},
		},
		{
			title: "its call never arrived",
			fault: &camstest.Fault{Created: false, Reply: camstest.Reply503HTML},
			mended: func(f jobTrace) bool {
				return slices.Contains(f.outcomes(), tasks.OutcomeAmbiguous) && f.record.Tries == 2 && !f.record.Adopted
			},
		},
		{
			title: "its receiver failed",
			mended: func(f jobTrace) bool {
				return len(f.webhooks) > 1 && f.record.Callback.State == tasks.CallbackDelivered
			},
		},
	}
	var s scenarios
	for _, r := range rows {
		if name := r.job.Request.InstanceName; len(names[name]) == 1 && len(left) > 0 {
			delete(names, name) // a row that comes twice is cast once
			left[0].job = r.job
			s.accidents = append(s.accidents, left[0])
			left = left[1:]
		}
	}
	return s
}

// failsOnce makes the receiver fail the first webhook of the job that is cast for it.
func (s scenarios) failsOnce() func(string, callback.Event) bool {
	var mu sync.Mutex
	failed := map[tasks.Ref]bool{}
	for _, a := range s.accidents {
		if a.fault == nil {
			failed[a.job.Ref()] = false
		}
	}
	return func(_ string, e callback.Event) bool {
		mu.Lock()
		defer mu.Unlock()
		ref := tasks.Ref{Account: e.Data.Account, ID: e.Data.JobID}
		if done, cast := failed[ref]; !cast || done {
			return false
		}
		failed[ref] = true
		return true
	}
}

// describe says how a call ended, and what camsq makes of it.
func (x scenario) describe(a tasks.Attempt, r tasks.Record) string {
	switch a.Outcome {
	case tasks.OutcomeSucceeded:
		return "created: instance " + r.Instance.InstanceID
	case tasks.OutcomeThrottled:
		if x.fault != nil && x.fault.RetryAfter > 0 {
			return fmt.Sprintf("%d %s: told to wait %.1f s, the whole account does", a.Status, a.Code, x.fault.RetryAfter.Seconds())
		}
		return fmt.Sprintf("%d %s: the whole account waits", a.Status, a.Code)
	case tasks.OutcomeAmbiguous:
		if a.Status == 0 {
			return "the connection breaks, no answer: is there an instance now, or not?"
		}
		return fmt.Sprintf("%d from a load balancer: is there an instance now, or not?", a.Status)
	case tasks.OutcomeRejected, tasks.OutcomeBlocked, tasks.OutcomeUnsent:
	}
	return fmt.Sprintf("%s: %d %s", a.Outcome, a.Status, a.Code)
}
