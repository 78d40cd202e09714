package enqueue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/tasks"
)

// stepSize is how many jobs CreateAll writes in one step. Larger steps cost fewer round
// trips, and keep Redis from answering others for longer: see docs/decisions.md.
const stepSize = 400

// CreateAll puts many jobs into the queue, in steps of some hundred jobs, and calls each
// (which may be nil) with every job's result, in the order of the sequence. A job that
// is refused, or that comes with an error, does not stop the others. It reads the next
// step's jobs while it writes one, and holds less than a thousand jobs, however many
// there are.
//
// It blocks, and reports that, while Redis has no memory for new jobs: see
// [Config.HighWatermark]. While Redis does not answer it retries: see [Config.RetryFor].
// Canceling ctx ends both, and begins no further step.
//
// The error means that Redis did not answer, or refused, or that ctx has ended. Results
// given so far hold, and one step more may have been written. The whole sequence may be
// sent again: existing jobs come as known.
func (c *Client) CreateAll(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(Result)) (Summary, error) {
	w := &writer{client: c, each: each, pending: &step{}, refs: map[tasks.Ref]bool{}}
	defer w.await()
	for job, err := range jobs {
		w.add(job, err)
		if len(w.pending.results) < stepSize {
			continue
		}
		if err := w.send(ctx); err != nil {
			return w.sum, err
		}
	}
	if err := w.send(ctx); err != nil {
		return w.sum, err
	}
	return w.sum, w.finish(ctx)
}

// writer writes a sequence of jobs step by step: the next step begins when the one
// before has ended, so that of two jobs with one ID the first is written. Its methods
// are called from one goroutine.
type writer struct {
	client *Client
	each   func(Result)
	sum    Summary

	pending *step
	refs    map[tasks.Ref]bool // of the jobs of pending

	writing *step      // nil if there is none
	written chan error // gets the result of the first attempt to write it

	failing time.Time // since when Redis has not answered; zero if it does
}

func (w *writer) add(job tasks.Job, err error) {
	s := w.pending
	if err != nil {
		s.results = append(s.results, Result{Job: job, Status: StatusInvalid, Err: err})
		return
	}
	job = job.Normalize()
	ref := job.Ref()
	s.twins = s.twins || w.refs[ref]
	w.refs[ref] = true
	s.results = append(s.results, Result{Job: job})
}

// send begins to write the step that was read, once the one before has ended.
func (w *writer) send(ctx context.Context) error {
	s := w.pending
	if len(s.results) == 0 {
		return nil
	}
	w.client.prepare(s, w.client.highWatermark)
	last := w.writing
	if err := w.finish(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	if last == nil {
		last = &step{results: make([]Result, 0, stepSize)}
	}
	clear(last.results)
	clear(w.refs)
	w.pending = &step{results: last.results[:0]}
	w.writing, w.written = s, make(chan error, 1)
	go func() { w.written <- w.client.write(ctx, s, w.client.highWatermark) }()
	return nil
}

// finish ends the step under way, with as many attempts as it takes, and reports its
// results.
func (w *writer) finish(ctx context.Context) error {
	s := w.writing
	if s == nil {
		return nil
	}
	err := <-w.written
	w.writing = nil
	for err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("enqueue: %w", ctx.Err())
		}
		if err := w.waitRetry(ctx, err); err != nil {
			return err
		}
		err = w.client.write(ctx, s, w.client.highWatermark)
	}
	w.failing = time.Time{}
	for _, r := range s.results {
		w.sum.add(r)
		if w.each != nil {
			w.each(r)
		}
	}
	return nil
}

// await waits for the end of an attempt whose result does not matter any more.
func (w *writer) await() {
	if w.writing != nil {
		<-w.written
	}
}

// retryPause is the time between two attempts while Redis does not answer.
const retryPause = 500 * time.Millisecond

// waitRetry blocks until a retry may succeed. It returns the error if none may.
func (w *writer) waitRetry(ctx context.Context, err error) error {
	if full, ok := errors.AsType[*queue.OutOfMemoryError](err); ok {
		w.failing = time.Time{} // Redis has answered
		return w.client.waitForMemory(ctx, full)
	}
	if !isTransient(err) {
		return err
	}
	now := time.Now()
	if w.failing.IsZero() {
		w.failing = now
	}
	left := w.client.retryFor - now.Sub(w.failing)
	if left <= 0 {
		return err
	}
	return sleep(ctx, min(left, retryPause))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("enqueue: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}
