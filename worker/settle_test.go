package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// TestASuccessIsRecordedWhereverTheJobStands: settling came late, and another
// turn has judged meanwhile.
func TestASuccessIsRecordedWhereverTheJobStands(t *testing.T) {
	tests := []struct {
		name     string
		judged   []tasks.Step
		instance string // what the other turn found
		state    tasks.State
		orphan   bool // the instance is only in the log
	}{
		{"uncertain", []tasks.Step{tasks.StepAmbiguous}, "", tasks.StateCreated, false},
		{"found already", []tasks.Step{tasks.StepAmbiguous, tasks.StepFound}, "1000", tasks.StateCreated, false},
		{"queued again", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent}, "", tasks.StateCreated, false},
		{"held", []tasks.Step{tasks.StepAmbiguous, tasks.StepUnfound}, "", tasks.StateCreated, false},
		{"on the wire again", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent, tasks.StepBegin}, "", tasks.StateCalling, true},
		{"given up", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent, tasks.StepSpent}, "", tasks.StateFailed, true},
		{"created with another instance", []tasks.Step{tasks.StepAmbiguous, tasks.StepFound}, "7", tasks.StateCreated, true},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newFixture(t, func(d *fixture, c *worker.Config) {
				c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
					i, err := d.cloud.CreateInstance(ctx, q)
					r, _ := d.ledger.Get(ctx, job1)
					for _, by := range tt.judged {
						if by == tasks.StepFound {
							r.Instance, r.Adopted = &tasks.EventInstance{InstanceID: tt.instance}, true
						}
						var stepErr error
						if r, stepErr = d.ledger.Transition(ctx, r, by, 0); stepErr != nil {
							t.Error(stepErr)
						}
					}
					return i, err
				}}
			})
			d.ledger.put(queued())
			r, err := d.turn(t)
			want(t, "state", r.State, tt.state)
			want(t, "the instance is in the log", strings.Contains(d.log.String(), "instance_id=1000"), tt.orphan)
			if tt.orphan {
				later(t, err)
				return
			}
			noError(t, err)
			want(t, "instance, code", []any{r.Instance.InstanceID, r.Code}, []any{"1000", map[bool]string{true: "", false: "OK"}[tt.instance != ""]})
		})
	}
}

func TestAnInstanceThatAnotherJobHasParksTheJob(t *testing.T) {
	tests := []struct {
		name   string
		judged []tasks.Step
		dies   tasks.Step // the worker cannot write this step
	}{
		{"at once", nil, ""},
		{"after another turn was in doubt", []tasks.Step{tasks.StepAmbiguous}, ""},
		{"after another turn found nothing", []tasks.Step{tasks.StepAmbiguous, tasks.StepAbsent}, ""},
		{"and the turn dies half way", nil, tasks.StepSeveral},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			died := false
			d := newFixture(t, stepping(func(next stepFunc) stepFunc {
				return func(ctx context.Context, r tasks.Record, by tasks.Step, due time.Duration) (tasks.Record, error) {
					if by == tt.dies && !died {
						died = true
						return tasks.Record{}, tasks.ErrConflict
					}
					return next(ctx, r, by, due)
				}
			}), func(d *fixture, c *worker.Config) {
				c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
					i, err := d.cloud.CreateInstance(ctx, q)
					d.ledger.instances[i.InstanceID] = "job-0"
					r, _ := d.ledger.Get(ctx, job1)
					for _, by := range tt.judged {
						r, _ = d.ledger.Transition(ctx, r, by, 0)
					}
					return i, err
				}}
			})
			d.ledger.put(queued())
			r := d.toEnd(t)
			want(t, "state, candidates, instance", []any{r.State, r.Candidates, r.Instance}, []any{tasks.StateHeld, []string{"1000"}, (*tasks.EventInstance)(nil)})
			want(t, "creates", d.cloud.creates, 1)
			want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
		})
	}
}

func TestACallbackIsOwedExactlyWhereThereIsSomebodyToTell(t *testing.T) {
	tests := []struct {
		name      string
		lane, job string
		owed      bool
	}{
		{"nobody", "", "", false},
		{"the account's receiver", "https://example.com/a", "", true},
		{"the job's own", "", "https://example.com/j", true},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newFixture(t, config(func(c *worker.Config) { c.Lanes[0].CallbackURL = tt.lane }))
			r := queued()
			r.CallbackURL = tt.job
			d.ledger.put(r)
			r, err := d.turn(t)
			noError(t, err)
			want(t, "owed, queued", []bool{r.Callback.State == tasks.CallbackOwed, len(d.callbacks.all()) == 1}, []bool{tt.owed, tt.owed})
		})
	}
}

func TestACallbackThatCannotBeQueuedIsQueuedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t)
		d.callbacks.err = errors.New("redis: connection lost")
		d.ledger.put(queued())
		r, err := d.turn(t)
		want(t, "state", r.State, tasks.StateCreated)
		later(t, err)
		d.callbacks.err = nil
		d.toEnd(t)
		want(t, "creates", d.cloud.creates, 1)
		want(t, "queued callbacks", d.callbacks.all(), map[tasks.Ref]int{job1: 1})
	})
}

func TestNothingPersonalIsKeptOfAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := said(400, "InvalidParameter")
		answer.Message = "ContactMail ana@example.com of 1 Main St is not valid"
		d := newFixture(t, answering(answer))
		d.ledger.put(queued())
		r := d.toEnd(t)
		want(t, "message", r.Message, "ContactMail [redacted] of [redacted] is not valid")
		for _, private := range []string{"ana@example.com", "1 Main St"} {
			if strings.Contains(d.log.String(), private) {
				t.Errorf("the log holds %q:\n%s", private, d.log)
			}
		}
	})
}

// TestADrainingWorkerBeginsNoCall stops a worker at each wait of a turn.
func TestADrainingWorkerBeginsNoCall(t *testing.T) {
	for _, at := range []string{"before the baseline", "before the call", "with the last slot"} {
		bubble(t, at, func(t *testing.T) {
			d := newFixture(t, func(d *fixture, _ *worker.Config) {
				hang := func(ctx context.Context) error {
					d.Drain()
					<-ctx.Done()
					return ctx.Err()
				}
				switch at {
				case "before the baseline":
					d.list.wait = hang
				case "before the call":
					d.create.wait = hang
				default:
					d.create.wait = func(ctx context.Context) error {
						_ = hang(ctx)
						return nil
					}
				}
			})
			d.ledger.put(queued())
			r, err := d.turn(t)
			want(t, "wait", later(t, err), 0)
			want(t, "state, tries, creates", []any{r.State, r.Tries, d.cloud.creates}, []any{tasks.StateQueued, 0, 0})
		})
	}
}
