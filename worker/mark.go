package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/camsq/camsq/tasks"
)

// begin writes the mark and counts the try. If it cannot tell whether the mark was
// written, no call is made, and the mark is taken back.
//
// Dies before it is taken back: the mark may stand for a call that never was, and
// recovery finds that there is no instance.
func (w *Worker) begin(ctx context.Context, queued tasks.Record) (tasks.Record, error) {
	r := queued
	r.Tries++
	r.Candidates = nil
	if r.FirstTry.IsZero() {
		r.FirstTry = r.Now
	}
	short, cancel := context.WithTimeout(ctx, w.cfg.CallTimeout/2)
	defer cancel()
	marked, err := w.cfg.Store.Step(short, r, tasks.StepBegin, w.cfg.CallTimeout+markMargin)
	if err != nil && marked.Rev != "" {
		return marked, w.unmark(ctx, queued, marked, err)
	}
	return marked, err
}

// markMargin is by how much a mark outlasts its call's deadline: what settling takes, most
// of the time. Settling that takes longer meets a job that is uncertain, and records what
// it knows all the same.
const markMargin = 5 * time.Second

// unmarkPause is the time between two tries to take a mark back. Each of them asks
// Redis again and again by itself.
const unmarkPause = time.Second

// unmark takes back a mark that may have been written, or may be written yet: the
// command may lie in the socket of a Redis that stands still. All others must wait until
// the call that it announces is over, and then for the settle window. This turn knows
// that there is no call, so it goes on trying for as long as the process works. It
// keeps its slot: no other turn of the lane can do anything meanwhile, as all need the
// same Redis.
func (w *Worker) unmark(ctx context.Context, queued, marked tasks.Record, lost error) error {
	for {
		err := w.fence(ctx, queued, marked)
		switch {
		case err == nil:
			w.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "no call was made, since its mark was not certain; the mark is taken back",
				slog.String("job", queued.Ref().String()), slog.Any("error", lost))
			return &SnoozeError{0, "its mark was not certain and was taken back"}
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

// fence makes sure that the mark neither stands nor can be written any more. Either the
// record has the mark's revision, which no other write has: then the step back leaves
// it. Or it still has the one that the mark was made from: then a note gives it another,
// and the mark will be refused. The mark may be written between the two, so the step
// back is tried once more. It returns tasks.ErrConflict if the record has neither: then
// another turn came first, and what the record says is not this turn's.
func (w *Worker) fence(ctx context.Context, queued, marked tasks.Record) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	back := queued // costs no try: nothing was sent
	back.State, back.Rev = marked.State, marked.Rev
	_, err := w.cfg.Store.Step(ctx, back, tasks.StepUnsent, 0)
	if errors.Is(err, tasks.ErrConflict) {
		_, err = w.cfg.Store.Note(ctx, queued, 0)
	}
	if errors.Is(err, tasks.ErrConflict) {
		_, err = w.cfg.Store.Step(ctx, back, tasks.StepUnsent, 0)
	}
	return err
}
