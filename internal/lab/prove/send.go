package prove

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// The jobs are sent in waves, so that producers, too, meet a Redis that is away.
const waves = 20

// cancelShare of the jobs are withdrawn as soon as they are sent, where that still works.
const cancelShare = 0.01

// send sends the jobs, each wave until it is accepted.
func (f *trialRun) send(ctx context.Context) {
	channels := []string{"WHATSAPP", "MESSENGER", "INSTAGRAM", "VIBER"}
	for wave := range waves {
		var jobs []tasks.Job
		for i := f.Jobs * wave / waves; i < f.Jobs*(wave+1)/waves; i++ {
			jobs = append(jobs, tasks.Job{
				ID: fmt.Sprintf("%s-%06d", f.account(), i), Account: f.account(), Batch: fmt.Sprintf("wave-%02d", wave),
				Request: tasks.Request{ChannelType: channels[i%len(channels)], InstanceName: f.name(i)},
			}.Normalize())
		}
		f.sent = append(f.sent, jobs...)
		begun := time.Now()
		for !f.sendWave(ctx, jobs) {
			if !sleep(ctx, 300*time.Millisecond) {
				return
			}
		}
		f.sure = len(f.sent)
		f.withdraw(ctx, jobs)
		if !sleep(ctx, f.chaos()*6/10/waves-time.Since(begun)) {
			return
		}
	}
}

// sendWave sends jobs that may have been sent before, and says whether Redis answered.
func (f *trialRun) sendWave(ctx context.Context, jobs []tasks.Job) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := f.node.Client.CreateAll(ctx, func(yield func(tasks.Job, error) bool) {
		for _, job := range jobs {
			if !yield(job, nil) {
				return
			}
		}
	}, func(r enqueue.Result) {
		if r.Err != nil {
			f.odd = append(f.odd, "a job was refused: "+r.Err.Error())
		}
	})
	return err == nil
}

// withdraw cancels a few of the jobs, where that still works; the ledger tells.
func (f *trialRun) withdraw(ctx context.Context, jobs []tasks.Job) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, job := range jobs {
		if !share(f.Seed, "cancel "+job.ID, cancelShare) {
			continue
		}
		if r, err := f.node.Ledger.Get(ctx, job.Ref()); err == nil && r.State == tasks.StateQueued {
			r.Code = tasks.CodeCancelled
			_, _ = f.node.Ledger.Step(ctx, r, tasks.StepCancel, 0)
		}
	}
}
