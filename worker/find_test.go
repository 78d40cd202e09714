package worker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// paged is a list of pages of one instance each, whose names contain the one that is
// looked for. fail is what a page answers before it comes, each time in turn.
func paged(pages int, fail map[int][]*cams.Error) func(context.Context, *cams.Search) (bool, error) {
	return func(_ context.Context, q *cams.Search) (bool, error) {
		n := q.Pages()
		if left := fail[n+1]; len(left) > 0 {
			fail[n+1] = left[1:]
			return false, left[0]
		}
		return q.Take([]cams.Instance{{InstanceID: fmt.Sprint(n), InstanceName: q.InstanceName + fmt.Sprint(n), ChannelType: q.ChannelType}}, pages)
	}
}

func TestEachPageOfASearchTakesItsSlotAndOneThatFailsIsAskedForAgain(t *testing.T) {
	throttled, lost, refused, later := said(400, "Throttling.User"), noAnswer(), said(403, "NoPermission"), said(503, "ServiceUnavailable")
	later.RetryAfter = time.Hour
	tests := []struct {
		name  string
		fail  map[int][]*cams.Error
		slots int
		state tasks.State
	}{
		{"no page fails", nil, 300, tasks.StateCreated},
		{"some fail", map[int][]*cams.Error{2: {throttled}, 150: {lost, throttled, lost}, 300: {said(500, "InternalError")}}, 305, tasks.StateCreated},
		{"one fails too often", map[int][]*cams.Error{2: {lost, lost, lost, lost}}, 1 + 4, tasks.StateQueued},
		{"the first fails", map[int][]*cams.Error{1: {lost}}, 1, tasks.StateQueued},
		{"one is to be asked for in an hour", map[int][]*cams.Error{9: {later}}, 9, tasks.StateQueued},
		{"the account is refused", map[int][]*cams.Error{7: {refused}}, 7, tasks.StateQueued},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			d := newFixture(t, finding(paged(300, tt.fail)))
			d.ledger.put(queued())
			_, _ = d.turn(t)
			want(t, "state", d.job(t).State, tt.state)
			want(t, "slots of the quota for listing", d.list.waits, tt.slots)
		})
	}
}

// A slot that takes long to come ends a search that has not begun, and none that has.
func TestASearchThatHasBegunWaitsForItsNextPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFixture(t, finding(paged(10, nil)))
		start := time.Now()
		d.list.wait = func(context.Context) error {
			if d.list.waits == 5 || d.list.waits == 6 {
				return &tooLong{time.Minute}
			}
			return nil
		}
		d.ledger.put(queued())
		_, _ = d.turn(t)
		want(t, "state", d.job(t).State, tasks.StateCreated)
		want(t, "time", time.Since(start).Round(time.Second), 2*time.Minute)

		d = newFixture(t, finding(paged(10, nil)))
		d.list.wait = func(context.Context) error { return &tooLong{time.Minute} }
		d.ledger.put(queued())
		_, err := d.turn(t)
		want(t, "come back", later(t, err), time.Minute)
	})
}

// tooLong is a limiter's error.
type tooLong struct{ after time.Duration }

func (e *tooLong) Error() string { return "it takes too long" }

func (e *tooLong) RetryAfter() time.Duration { return e.after }

var _ worker.RetryAfterer = (*tooLong)(nil)

// A short name is a part of many others, and the API lists them all: its job is created
// all the same, while others create instances of such names.
func TestAJobWhoseNameIsAPartOfTensOfThousandsIsCreated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen calls
		w := newCluster(t, camstest.Config{Calm: true, OnRequest: seen.note})
		for i := range 15_000 {
			w.cloud.Add("", cams.Instance{InstanceName: fmt.Sprintf("shop-1%05d", i), ChannelType: "VIBER"})
		}
		w.start()
		jobs := append([]string{"shop-1"}, names("shop-12", 50)...)
		w.enqueue(jobs...)
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)
		if n := w.cloud.Calls("ListInstance"); n < 300 {
			t.Errorf("%d calls of ListInstance: the test shows nothing", n)
		}
	})
}
