package prove

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// The jobs are sent in waves, so that the producer meets a killed Redis too.
const waves = 20

// cancelShare of the jobs are cancelled right after they are sent, where that still works.
const cancelShare = 0.01

// send sends the jobs, and repeats each wave until Redis confirms it.
func (t *trialRun) send(ctx context.Context) {
	channels := []string{"WHATSAPP", "MESSENGER", "INSTAGRAM", "VIBER"}
	for wave := range waves {
		var jobs []tasks.Job
		for i := t.Jobs * wave / waves; i < t.Jobs*(wave+1)/waves; i++ {
			jobs = append(jobs, tasks.Job{
				ID: fmt.Sprintf("%s-%06d", t.account(), i), Account: t.account(), Batch: fmt.Sprintf("wave-%02d", wave),
				Request: tasks.Request{ChannelType: channels[i%len(channels)], InstanceName: t.name(i)},
			}.Normalize())
		}
		t.sent = append(t.sent, jobs...)
		begun := time.Now()
		for !t.sendWave(ctx, jobs) {
			if !sleep(ctx, 300*time.Millisecond) {
				return
			}
		}
		t.acknowledged = len(t.sent)
		t.cancelSome(ctx, jobs)
		if !sleep(ctx, t.chaos()*6/10/waves-time.Since(begun)) {
			return
		}
	}
}

// sendWave sends jobs that may have been sent before, and reports whether Redis confirmed.
func (t *trialRun) sendWave(ctx context.Context, jobs []tasks.Job) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := t.app.Client.CreateAll(ctx, func(yield func(tasks.Job, error) bool) {
		for _, job := range jobs {
			if !yield(job, nil) {
				return
			}
		}
	}, func(r enqueue.Result) {
		if r.Err != nil {
			t.refused = append(t.refused, "a job was rejected: "+r.Err.Error())
		}
	})
	return err == nil
}

// cancelSome cancels a few of the jobs, where that still works. Whether it did is read from
// the ledger in the end.
func (t *trialRun) cancelSome(ctx context.Context, jobs []tasks.Job) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, job := range jobs {
		if !share(t.Seed, "cancel "+job.ID, cancelShare) {
			continue
		}
		if r, err := t.app.Ledger.Get(ctx, job.Ref()); err == nil && r.State == tasks.StateQueued {
			r.Code = tasks.CodeCancelled
			_, _ = t.app.Ledger.Transition(ctx, r, tasks.StepCancel, 0)
		}
	}
}
