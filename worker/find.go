package worker

import (
	"context"
	"errors"
	"time"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/backoff"
	"github.com/camsq/camsq/internal/classify"
	"github.com/camsq/camsq/tasks"
)

// pageTries is how often a page after the first is requested if it gets no answer. With one
// attempt a search of many pages would rarely finish.
const pageTries = 4

// find returns the instances of exactly the job's channel type and name. The API may return
// any number of others whose names contain this one. Each page takes a slot of the account's
// quota for lists, and is passed to visit, whose error ends the search.
func (w *Worker) find(ctx context.Context, l *lane, r tasks.Record, visit func(*cams.Search) error) ([]cams.Instance, error) {
	s := cams.Search{ChannelType: r.Request.ChannelType, InstanceName: r.Request.InstanceName}
	for failures := 0; ; {
		if err := w.pageSlot(ctx, l, r, s.Pages()); err != nil {
			return nil, w.interrupted(ctx, err)
		}
		before := s.Pages()
		start := time.Now()
		done, err := w.page(ctx, l, &s)
		w.countCall(r, ActionList, time.Since(start), err)
		switch {
		case err == nil && before == 0:
			w.onSuccess(ctx, l, r.Ref(), ActionList)
		case err == nil:
			failures = 0
		default:
			failures++
			if before == 0 || s.Pages() > before || failures == pageTries || !w.mayAskAgain(ctx, l, r, err, failures) {
				return nil, err
			}
		}
		if err == nil {
			if err := visit(&s); err != nil {
				return nil, err
			}
		}
		if done {
			return s.Found(), nil
		}
	}
}

// pageSlot waits for the slot of a page. A search that has begun waits however long it
// takes.
func (w *Worker) pageSlot(ctx context.Context, l *lane, r tasks.Record, taken int) error {
	for {
		_, err := w.wait(ctx, l, ActionList, r.Priority)
		later, refused := errors.AsType[RetryAfterer](err)
		if !refused || taken == 0 {
			return err
		}
		if err := sleep(ctx, later.RetryAfter()); err != nil {
			return err
		}
	}
}

func (w *Worker) page(ctx context.Context, l *lane, s *cams.Search) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout)
	defer cancel()
	return l.API.SearchPage(ctx, s)
}

// mayAskAgain reports whether the page that failed is worth another attempt, after it has
// waited for the right time.
func (w *Worker) mayAskAgain(ctx context.Context, l *lane, r tasks.Record, err error, failures int) bool {
	v := classify.Of(err)
	switch {
	case classify.RetryAfter(err) > w.cfg.CallTimeout: // for a longer pause the job leaves its slot
	case v.Throttled:
		w.updateLane(ctx, l, r, ActionList, v, err) // the limiter delays the next page
		return true
	case v.Outcome == tasks.OutcomeAmbiguous, v.Outcome == tasks.OutcomeUnsent:
		d := max(classify.RetryAfter(err), backoff.Delay(failures, w.cfg.RetryMin, w.cfg.RetryMax))
		return d <= w.cfg.CallTimeout && sleep(ctx, d) == nil
	}
	return false
}

// sleep waits for d, and returns the context's error if the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
