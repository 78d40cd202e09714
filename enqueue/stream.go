package enqueue

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"time"

	"github.com/camsq/camsq/internal/queue"
	"github.com/camsq/camsq/tasks"
)

// stepsUnderWay is how many steps are under way at once: while one is on its way to
// Redis or back, Redis works on others. With more of them, whoever else asks Redis
// something would wait longer.
const stepsUnderWay = 16

// CreateAll puts many jobs into the queue, a hundred in each step and several steps at
// once, and calls each (which may be nil) with every job's result, in the order of the
// sequence. A job that is refused, or that comes with an error, does not stop the
// others. It holds less than two thousand jobs at a time, however many there are; so
// many may also change places in the queue.
//
// It waits, and says so, while Redis has no room: see [Config.Room]. While Redis does
// not answer it tries again: see [Config.Patience]. Canceling ctx ends both, and begins
// no further step.
//
// The error means that Redis did not answer, or refused, or that ctx has ended.
// Results given so far hold, and a few steps more may have been taken. The whole
// sequence may be sent again: what is there comes as known.
func (c *Client) CreateAll(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(Result)) (Summary, error) {
	s := &stream{client: c, each: each, seed: maphash.MakeSeed(), last: map[uint64]int{}}
	defer s.await()
	for job, err := range jobs {
		if err := s.add(ctx, job, err); err != nil {
			return s.sum, err
		}
	}
	if err := s.send(ctx); err != nil {
		return s.sum, err
	}
	return s.sum, s.deliver(ctx, 0)
}

// stream is a sequence of jobs on its way. All its methods but attempt are called from
// one goroutine.
type stream struct {
	client *Client
	each   func(Result)
	sum    Summary

	number int     // of the last step
	next   *step   // is being filled
	under  []*step // are under way, the oldest first
	spare  []*step // can be used again

	// last is the number of the last step that holds a job, by the job's hash; of
	// ended steps it may be forgotten. Jobs of one hash are taken for the same.
	last map[uint64]int
	seed maphash.Seed

	// answered is when Redis last took a step, failing since when it has not
	// answered, or zero.
	answered, failing time.Time
}

// step is a chunk on its way.
type step struct {
	chunk
	number int
	hashes []uint64
	// apart means that one of its jobs is in an earlier step too. It has to wait for
	// that one, or the later of the two might become the first.
	apart bool

	done  chan struct{}
	err   error
	ended time.Time
}

// add takes in a job, and sends the step that is full with it.
func (s *stream) add(ctx context.Context, job tasks.Job, err error) error {
	if s.next == nil {
		s.next = s.begin()
	}
	st := s.next
	if err != nil {
		st.results = append(st.results, Result{Job: job, Status: StatusInvalid, Err: err})
	} else {
		job = job.Normalize()
		hash := maphash.Comparable(s.seed, job.Ref())
		number, is := s.last[hash]
		st.twins = st.twins || is && number == st.number
		st.apart = st.apart || is && number != st.number
		s.last[hash] = st.number
		st.hashes = append(st.hashes, hash)
		st.results = append(st.results, Result{Job: job})
	}
	if len(st.results) < chunkSize {
		return s.deliver(ctx, stepsUnderWay)
	}
	return s.send(ctx)
}

func (s *stream) begin() *step {
	s.number++
	if n := len(s.spare); n > 0 {
		st := s.spare[n-1]
		s.spare = s.spare[:n-1]
		clear(st.results)
		*st = step{chunk: chunk{results: st.results[:0]}, hashes: st.hashes[:0], number: s.number}
		return st
	}
	return &step{chunk: chunk{results: make([]Result, 0, chunkSize)}, number: s.number}
}

// send puts the step that was filled under way, once there are few enough others.
func (s *stream) send(ctx context.Context) error {
	st := s.next
	if st == nil {
		return nil
	}
	s.next = nil
	others := stepsUnderWay - 1
	if st.apart {
		others = 0
	}
	if err := s.deliver(ctx, others); err != nil {
		return err
	}
	if ctx.Err() != nil { // perhaps only since then
		if err := s.deliver(ctx, 0); err != nil {
			return err
		}
		return fmt.Errorf("enqueue: %w", ctx.Err())
	}
	// In this goroutine: Redis takes longer for a step than this does, and where both
	// share a machine, more threads would only take its time away.
	_ = s.client.compose(&st.chunk, s.client.room) // an error comes again with the attempt
	st.done = make(chan struct{})
	s.under = append(s.under, st)
	go func() {
		defer close(st.done)
		s.attempt(ctx, st)
	}()
	return nil
}

func (s *stream) attempt(ctx context.Context, st *step) {
	st.err = s.client.send(ctx, &st.chunk, s.client.room)
	st.ended = time.Now()
}

// deliver tells the results of steps that have ended, in order. It waits until at most
// so many are under way.
func (s *stream) deliver(ctx context.Context, most int) error {
	for len(s.under) > 0 {
		st := s.under[0]
		if len(s.under) <= most && !st.hasEnded() {
			return nil
		}
		<-st.done
		if err := s.succeed(ctx, st); err != nil {
			return err
		}
		s.under = s.under[1:]
		for _, hash := range st.hashes {
			if s.last[hash] == st.number {
				delete(s.last, hash)
			}
		}
		for _, r := range st.results {
			s.sum.add(r)
			if s.each != nil {
				s.each(r)
			}
		}
		s.spare = append(s.spare, st)
	}
	return nil
}

func (st *step) hasEnded() bool {
	select {
	case <-st.done:
		return true
	default:
		return false
	}
}

// await waits until nothing is under way any more. Nobody is told of it.
func (s *stream) await() {
	for _, st := range s.under {
		<-st.done
	}
}

// succeed makes the attempt again, as long as that makes sense, until it succeeds.
func (s *stream) succeed(ctx context.Context, st *step) error {
	// After an older step has succeeded since, it is worth while at once.
	stale := st.ended.Before(s.answered)
	for st.err != nil {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		if !stale {
			if err := s.bear(ctx, st.err); err != nil {
				return err
			}
		}
		stale = false
		s.attempt(ctx, st)
	}
	s.answered, s.failing = st.ended, time.Time{}
	return nil
}

// retryPause is the time between two attempts while Redis does not answer.
const retryPause = 500 * time.Millisecond

// bear waits as long as it takes for an attempt to make sense again. It returns the
// error if it does not.
func (s *stream) bear(ctx context.Context, err error) error {
	if full, ok := errors.AsType[*queue.OutOfMemoryError](err); ok {
		s.failing = time.Time{} // it has answered
		return s.client.awaitRoom(ctx, full)
	}
	if !passing(err) {
		return err
	}
	now := time.Now()
	if s.failing.IsZero() {
		s.failing = now
	}
	left := s.client.patience - now.Sub(s.failing)
	if left <= 0 {
		return err
	}
	return pause(ctx, min(left, retryPause))
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("enqueue: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}
