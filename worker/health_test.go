package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/cams/camstest"
	"github.com/camsq/camsq/tasks"
)

// An API that is away is said once, probed by one call at a time, and everything goes on
// when it is back.
func TestAnAPIThatIsAwayIsSaidOnce(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]func(string) error{
		"refused connections": func(string) error { return &cams.Error{Err: fmt.Errorf("dial tcp: connection refused")} },
		"503":                 no(503, "ServiceUnavailable"),
		"a page with 502":     no(502, ""),
	} {
		bubble(t, name, func(t *testing.T) {
			w, j := judged(t)
			j.set(func() { j.create, j.list = down, down })
			jobs := names("shop", 20)
			w.enqueue(jobs...)
			w.await("the breaker", time.Minute, func() bool { return w.trip() != nil })
			if trip := w.trip(); !trip.Away || trip.Code == "" {
				t.Errorf("the lane: %+v, want it away, and why", trip)
			}
			time.Sleep(10 * time.Minute)
			if n := j.creates() + j.looks(); n > 100 {
				t.Errorf("%d requests in ten minutes, want one probe at a time", n)
			}
			j.set(func() { j.create, j.list = nil, nil })
			start := time.Now()
			w.awaitEnd(10*time.Minute, jobs...)
			w.wantCreated(jobs...)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("it took %v after the API was back", took)
			}
			away, back := strings.Count(w.log.String(), "the API is away"), strings.Count(w.log.String(), "the API is back")
			want(t, "lines: away, back", []int{away, back}, []int{1, 1})
		})
	}
}

// A lane that the API refused and cannot be reached any more is away since then, not since
// it was refused; the log tells each once, and why a call got no answer.
func TestAnAPIThatGoesAwayWhileItRefusesIsAwaySinceThen(t *testing.T) {
	t.Parallel()
	bubble(t, "", func(t *testing.T) {
		w, j := judged(t)
		refuse := no(403, "NoPermission")
		j.set(func() { j.create, j.list = refuse, nil })
		jobs := names("shop", 5)
		w.enqueue(jobs...)
		w.await("the breaker", time.Minute, func() bool { return w.trip() != nil })
		refusedAt := w.trip().Since
		time.Sleep(20 * time.Minute)
		want(t, "refused since", w.trip().Since, refusedAt)

		gone := time.Now()
		down := func(string) error { return &cams.Error{Err: errors.New("dial tcp: connection refused")} }
		j.set(func() { j.create, j.list = down, down })
		w.await("the lane to be away", 10*time.Minute, func() bool { return w.trip() != nil && w.trip().Away })
		if since := w.trip().Since; since.Before(gone) {
			t.Errorf("away since %v before it went away", gone.Sub(since))
		}
		j.set(func() { j.create, j.list = nil, nil })
		w.awaitEnd(10*time.Minute, jobs...)
		w.wantCreated(jobs...)

		log := w.log.String()
		for line, n := range map[string]int{
			"the API refuses the account": 1, "the API is away": 1, "the API is back": 1, `error=""`: 0, "attempt.": 0,
			"level=WARN msg=call": 0, // each of them is the breaker's news
		} {
			if got := strings.Count(log, line); got != n {
				t.Errorf("the log has %q %d times, want %d:\n%s", line, got, n, log)
			}
		}
	})
}

// An endpoint that takes connections and never answers is away too, within a minute or so,
// and its lost calls are found when it is back.
func TestAnAPIThatNeverAnswersIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newCluster(t, camstest.Config{Calm: true})
		w.start()
		hang := &camstest.Fault{Reply: camstest.ReplyHang}
		w.cloud.Always("ListInstance", hang)
		w.cloud.Always("CreateInstance", hang)
		w.enqueue("shop")
		w.await("the breaker", 90*time.Second, func() bool { return w.trip() != nil })
		if trip := w.trip(); !trip.Away {
			t.Errorf("the lane: %+v, want it away", trip)
		}
		w.cloud.Always("ListInstance", nil)
		w.cloud.Always("CreateInstance", nil)
		w.awaitEnd(time.Hour, "shop")
		w.wantCreated("shop")
	})
}

// Every request is told of, lists too, with the code of the record.
func TestEveryRequestIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		reported := map[string]int{}
		w, j := judged(t, func(s *setup) {
			s.Hooks.Call = func(c tasks.APICall) {
				mu.Lock()
				defer mu.Unlock()
				reported[fmt.Sprintf("%s %s %s %d", c.Action, c.Outcome, c.Code, c.Status)]++
			}
		})
		fails := 2
		j.set(func() {
			j.list = func(string) error {
				if fails--; fails >= 0 {
					return &cams.Error{Err: fmt.Errorf("dial tcp: connection refused")}
				}
				return nil
			}
		})
		w.enqueue("shop")
		w.awaitEnd(time.Minute, "shop")
		mu.Lock()
		defer mu.Unlock()
		want(t, "requests", reported, map[string]int{
			"ListInstance unsent camsq.Unsent 0": 2, "ListInstance succeeded OK 200": 1, "CreateInstance succeeded OK 200": 1,
		})
	})
}
