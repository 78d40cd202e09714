package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// markCalling writes the mark and counts the try. If it is not known whether the mark was written,
// markCalling makes no call and takes the mark back.
//
// Dies before it is taken back: the record may be marked for a call that was never made, and
// lookups find no instance.
func (w *Worker) markCalling(ctx context.Context, queued tasks.Record) (tasks.Record, error) {
	r := queued
	r.Tries++
	r.Candidates = nil
	if r.FirstTry.IsZero() {
		r.FirstTry = r.Now
	}
	short, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout/2)
	defer cancel()
	marked, err := w.cfg.Store.Transition(short, r, tasks.StepBegin, w.cfg.CallTimeout+markMargin)
	if err != nil && marked.Version != "" {
		return marked, w.unmark(ctx, queued, marked, err)
	}
	return marked, err
}

// markMargin is how much longer a mark lasts than the deadline of its call, which is what
// settling mostly takes. A turn that settles later finds the job uncertain, and still
// records the answer.
const markMargin = 5 * time.Second

// unmarkPause is the time between two attempts to take a mark back, each of which retries
// its commands itself.
const unmarkPause = time.Second

// unmark takes back a mark that may have been written, or may be written later: the command
// may wait in the socket of a Redis that does not respond. Every other process would have to
// wait for the deadline of the announced call, and then for the settle window. This turn
// knows that there was no call, so it retries for as long as the process runs. It occupies
// its slot meanwhile: no other turn of the lane can proceed, since all need the same Redis.
//
// Dies here: the next turn waits for the deadline, and lookups find no instance.
func (w *Worker) unmark(ctx context.Context, queued, marked tasks.Record, lost error) error {
	for {
		err := w.fence(ctx, queued, marked)
		switch {
		case err == nil:
			w.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "made no call, since it was not certain that its mark was written; the mark is taken back",
				slog.String("job", queued.Ref().String()), slog.Any("error", lost))
			return &SnoozeError{0, "it was not certain that its mark was written"}
		case errors.Is(err, tasks.ErrConflict), errors.Is(err, tasks.ErrNotFound):
			return err // another write came after the mark, or instead of it
		}
		select {
		case <-w.draining.Done():
			return lost
		case <-time.After(unmarkPause):
		}
	}
}

// fence makes sure that the record is not marked, and that the mark cannot be written later.
// If the record has the mark's revision, which no other write produces, a step back clears
// it. If it still has the revision before the mark, UpdateProgress changes that, and Redis
// will refuse the mark. The mark may be written between the two, so the step back is tried once
// more. The error is tasks.ErrConflict if the record has neither revision: then another turn
// has changed it.
func (w *Worker) fence(ctx context.Context, queued, marked tasks.Record) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	back := queued // costs no try: nothing was sent
	back.State, back.Version = marked.State, marked.Version
	_, err := w.cfg.Store.Transition(ctx, back, tasks.StepUnsent, 0)
	if errors.Is(err, tasks.ErrConflict) {
		_, err = w.cfg.Store.UpdateProgress(ctx, queued, 0)
	}
	if errors.Is(err, tasks.ErrConflict) {
		_, err = w.cfg.Store.Transition(ctx, back, tasks.StepUnsent, 0)
	}
	return err
}
