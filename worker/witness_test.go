package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
)

// A job that was refused before and probes again proves nothing about other jobs: it is
// the witness now, and any other job may probe at once.
func TestAJobThatProbesAgainIsTheOnlyWitness(t *testing.T) {
	for name, tt := range map[string]struct {
		refusals int
		witness  string
	}{
		"a job that was never refused": {0, ""},
		"a job that was refused":       {1, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newFixture(t, creating(func(context.Context, cams.CreateInstanceRequest) (cams.Instance, error) {
					return cams.Instance{}, said(403, "NoPermission")
				}))
				first, second := queued(), queued()
				first.ID, first.Request.InstanceName = "a", "a"
				second.ID, second.Request.InstanceName, second.Refusals = "b", "b", tt.refusals
				d.ledger.put(first)
				d.ledger.put(second)
				later(t, d.Process(t.Context(), first.Ref()))
				if got := d.breaker.trips["acme"]; got.Witness != "a" || got.Probes != 1 {
					t.Fatalf("after the first refusal: %+v", got)
				}
				time.Sleep(10 * time.Second) // past the next probe, and what a refused job comes later
				later(t, d.Process(t.Context(), second.Ref()))
				if got := d.breaker.trips["acme"]; got.Witness != tt.witness || got.Probes != 2 {
					t.Errorf("after the second one: %+v, want witness %q", got, tt.witness)
				}
			})
		})
	}
}
