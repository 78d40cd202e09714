package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/camsq/camsq/internal/redistest"
	"github.com/camsq/camsq/tasks"
)

// What is left of a job that ended is most of a Redis that runs for long.
func TestAFinishedJobTakesLittleMemory(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client()
	l := open(t, c, 0)
	const n = 1000
	var jobs []tasks.Job
	for i := range n {
		j := job(fmt.Sprintf("tenant-%06d", i))
		j.Batch = "tenants-2026-03.csv"
		j.Request = tasks.Request{ // some 300 bytes of JSON
			ChannelType: "WHATSAPP", InstanceName: fmt.Sprintf("tenant %06d", i), InstanceDescription: "Flower shop with delivery",
			OfficeAddress: "12 Long Street, Springfield 12345", ContactMail: fmt.Sprintf("owner%06d@tenant.example", i),
			CountryID: "65", FacebookBmID: "393993000000017", IsConfirmAudit: "Y",
		}
		jobs = append(jobs, j)
	}
	insert(t, c, jobs...)
	for i, j := range jobs {
		r := step(t, l, get(t, l, j.ID), tasks.StepBegin)
		r.Tries, r.Code, r.RequestID, r.Baseline = 1, "OK", "90E63D28-E31D-1EB2-8939-A94866411B2O", &[]string{}
		r.Instance = &tasks.EventInstance{
			InstanceID: fmt.Sprintf("cams-8c8*%012d", i), InstanceName: j.Request.InstanceName, ChannelType: "WHATSAPP",
			ResourceRegionID: "ap-southeast-1", SubmitTime: "2026-11-23 09:00:00",
		}
		r = step(t, l, r, tasks.StepSucceeded)
		r.Callback = tasks.CallbackProgress{State: tasks.CallbackDelivered, Tries: 1}
		if _, err := l.UpdateProgress(t.Context(), r, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	var bytes int64
	for _, key := range c.Keys(t.Context(), "camsq:*").Val() {
		used, err := c.MemoryUsage(t.Context(), key, 0).Result()
		if err != nil {
			t.Fatal(err)
		}
		bytes += used
	}
	t.Logf("bytes per finished job: %d", bytes/n)
	if per := bytes / n; per > 1000 {
		t.Errorf("a finished job takes %d bytes, want at most 1000", per)
	}
}
