package worker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
)

func TestJobsThatFailTogetherComeBackApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, answering(&cams.Error{Err: errors.New("connection refused")}))
		earliest, latest := time.Hour, time.Duration(0)
		for i := range 100 {
			r := queued()
			r.ID = fmt.Sprint("job-", i)
			r.Request.InstanceName = r.ID
			d.ledger.put(r)
			after := later(t, d.Process(t.Context(), r.Ref()))
			earliest, latest = min(earliest, after), max(latest, after)
		}
		// Half a second to one and a half, at random: one hundred that all miss a quarter
		// of that are less likely than a broken machine.
		if earliest < 500*time.Millisecond || earliest > 750*time.Millisecond || latest < 1250*time.Millisecond || latest > 1500*time.Millisecond {
			t.Errorf("they come back after %v to %v, want 0.5 s to 1.5 s", earliest, latest)
		}
	})
}
