package demo

import (
	"fmt"
	"slices"
	"sync"

	"github.com/camsq/camsq/callback"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// scenarios assigns faults to jobs of the file.
type scenarios struct{ list []scenario }

// scenario is the fault that one job meets on purpose.
type scenario struct {
	job   tasks.Job
	title string
	// fault is the API's fault at the job's first call. Nil leaves the call alone, and the
	// receiver fails instead.
	fault *camstest.Fault
	// recovered reports whether the fault happened and the job ended as promised.
	recovered func(f jobTrace) bool
}

// newScenarios takes the first jobs whose instance name is unique in the file, since the
// API's faults go by name.
func newScenarios(rows []fileRow) scenarios {
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
			title:     "the answer was lost",
			fault:     &camstest.Fault{Created: true, Reply: camstest.ReplyReset},
			recovered: func(f jobTrace) bool { return f.record.Adopted && len(f.calls) == 1 },
		},
		{
			title: "the call was throttled",
			fault: &camstest.Fault{Reply: camstest.ReplyThrottled, RetryAfter: demoPause},
			recovered: func(f jobTrace) bool {
				return slices.Contains(f.outcomes(), tasks.OutcomeThrottled) && f.record.Tries == 1
			},
		},
		{
			title: "the call never arrived",
			fault: &camstest.Fault{Created: false, Reply: camstest.Reply503HTML},
			recovered: func(f jobTrace) bool {
				return slices.Contains(f.outcomes(), tasks.OutcomeAmbiguous) && f.record.Tries == 2 && !f.record.Adopted
			},
		},
		{
			title: "the receiver failed",
			recovered: func(f jobTrace) bool {
				return len(f.webhooks) > 1 && f.record.Callback.State == tasks.CallbackDelivered
			},
		},
	}
	var s scenarios
	for _, r := range rows {
		if name := r.job.Request.InstanceName; len(names[name]) == 1 && len(left) > 0 {
			delete(names, name) // a row that comes twice gets one scenario
			left[0].job = r.job
			s.list = append(s.list, left[0])
			left = left[1:]
		}
	}
	return s
}

// failsOnce makes the receiver fail the first webhook of the job whose scenario says so.
func (s scenarios) failsOnce() func(string, callback.Event) bool {
	var mu sync.Mutex
	failed := map[tasks.Ref]bool{}
	for _, a := range s.list {
		if a.fault == nil {
			failed[a.job.Ref()] = false
		}
	}
	return func(_ string, e callback.Event) bool {
		mu.Lock()
		defer mu.Unlock()
		ref := tasks.Ref{Account: e.Data.Account, ID: e.Data.JobID}
		if done, chosen := failed[ref]; !chosen || done {
			return false
		}
		failed[ref] = true
		return true
	}
}

// describe says how a call ended and what camsq concludes.
func (x scenario) describe(a tasks.Attempt, r tasks.Record) string {
	switch a.Outcome {
	case tasks.OutcomeSucceeded:
		return "created: instance " + r.Instance.InstanceID
	case tasks.OutcomeThrottled:
		if x.fault != nil && x.fault.RetryAfter > 0 {
			return fmt.Sprintf("%d %s: the whole account waits %.1f s, as told", a.Status, a.Code, x.fault.RetryAfter.Seconds())
		}
		return fmt.Sprintf("%d %s: the whole account waits", a.Status, a.Code)
	case tasks.OutcomeAmbiguous:
		if a.Status == 0 {
			return "connection reset, no answer: was an instance created or not?"
		}
		return fmt.Sprintf("%d from a load balancer: was an instance created or not?", a.Status)
	case tasks.OutcomeRejected, tasks.OutcomeBlocked, tasks.OutcomeUnsent:
	}
	return fmt.Sprintf("%s: %d %s", a.Outcome, a.Status, a.Code)
}
