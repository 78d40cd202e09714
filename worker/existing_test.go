package worker_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

func TestANameThatExistsNearlyBeforeTheFirstCall(t *testing.T) {
	const own = "Acme Shop"
	tests := []struct {
		name     string
		there    string
		taken    bool
		existing worker.OnExisting
		state    tasks.State
		code     string
		creates  int
	}{
		{"in lower case", "acme shop", false, worker.ExistingFail, tasks.StateHeld, tasks.CodeNearMatch, 0},
		{"in lower case", "acme shop", false, worker.ExistingAdopt, tasks.StateHeld, tasks.CodeNearMatch, 0},
		{"in lower case", "acme shop", false, worker.ExistingCreate, tasks.StateCreated, "OK", 1},
		{"escaped", "Acme%20Shop", false, worker.ExistingFail, tasks.StateHeld, tasks.CodeNearMatch, 0},
		{"in lower case, another job's", "acme shop", true, worker.ExistingFail, tasks.StateCreated, "OK", 1},
		{"with two spaces, another job's", "Acme  Shop", true, worker.ExistingFail, tasks.StateFailed, tasks.CodeExists, 0},
		{"with a zero width, another job's", "Acme Shop\u200b", true, worker.ExistingAdopt, tasks.StateFailed, tasks.CodeExists, 0},
		{"with a zero width, another job's", "Acme Shop\u200b", true, worker.ExistingCreate, tasks.StateCreated, "OK", 1},
		{"a longer one", "Acme Shop 2", false, worker.ExistingFail, tasks.StateCreated, "OK", 1},
	}
	for _, tt := range tests {
		bubble(t, tt.name+", "+string(tt.existing), func(t *testing.T) {
			listed := func(d *fixture) func(context.Context, *cams.Search) (bool, error) {
				return func(_ context.Context, q *cams.Search) (bool, error) {
					return q.Take(d.cloud.instances, len(d.cloud.instances))
				}
			}
			d := newFixture(t, func(d *fixture, c *worker.Config) {
				c.Lanes[0].API, c.OnExisting = apiFuncs{fakeAPI: d.cloud, find: listed(d)}, tt.existing
			})
			i := d.cloud.add("VIBER", tt.there)
			if tt.taken {
				d.ledger.instances[i.InstanceID] = "job-0"
			}
			d.ledger.put(called2(own))
			r, err := d.turn(t)
			noError(t, err)
			want(t, "state, code, creates", []any{r.State, r.Code, d.cloud.creates}, []any{tt.state, tt.code, tt.creates})
			if tt.state != tasks.StateHeld {
				return
			}
			want(t, "candidates", r.Candidates, []string{i.InstanceID})

			// An operator says that it is another's: the job goes on, now and when it is put back.
			d.decide(t, operate.Decision{By: tasks.StepResolveAbsent})
			r, err = d.turn(t)
			noError(t, err)
			want(t, "state, creates", []any{r.State, d.cloud.creates}, []any{tasks.StateCreated, 1})
		})
	}
}

// A job that is put back without a doubt looks once more; what an operator has judged stays judged.
func TestWhatAPersonHasJudgedIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []*cams.Error{said(400, "Throttling.User"), said(200, "InvalidParameter.CountryId")}
		d := newFixture(t, func(d *fixture, c *worker.Config) {
			d.cloud.store = strings.ToLower
			c.Lanes[0].API = apiFuncs{fakeAPI: d.cloud, create: func(ctx context.Context, q cams.CreateInstanceRequest) (cams.Instance, error) {
				if len(answers) > 0 {
					answer := answers[0]
					answers = answers[1:]
					return cams.Instance{}, answer
				}
				return d.cloud.CreateInstance(ctx, q)
			}}
		})
		d.cloud.add("VIBER", "acme shop")
		d.ledger.put(called2("Acme Shop"))
		want(t, "state", d.toEnd(t).State, tasks.StateHeld)
		d.decide(t, operate.Decision{By: tasks.StepResolveAbsent})
		want(t, "state", d.toEnd(t).State, tasks.StateFailed)
		o := operate.Operator{Store: withOwner{d.ledger}, Queue: noQueue{d.callbacks}}
		noError(t, o.Retry(t.Context(), operate.Job(job1))[0])
		want(t, "state, creates", []any{d.toEnd(t).State, d.cloud.creates}, []any{tasks.StateCreated, 1})
	})
}
