package importer

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// BackpressureNotice says, at first and then once a minute, that an import waits for room in
// Redis (see [enqueue.Config]), and that it goes on.
type BackpressureNotice struct {
	Writer io.Writer
	// told is when it was last said that the import waits, or zero; waited is when it
	// last did.
	told, waited time.Time
}

// goneOn is how long an import must go on before that is said: near the limit it goes
// on and waits again by turns.
const goneOn = 5 * time.Second

// Waiting notes that the import waits; used and max are bytes of Redis's memory.
func (r *BackpressureNotice) Waiting(used, max int64) {
	r.waited = time.Now()
	if r.waited.Sub(r.told) < time.Minute {
		return
	}
	r.told = r.waited
	if max == 0 {
		fmt.Fprintln(r.Writer, "waiting: Redis has no memory left; this goes on when there is room again")
		return
	}
	fmt.Fprintf(r.Writer, "waiting: Redis uses %d of its %d MB; this goes on below %.0f %%, so that workers can take jobs out\n",
		used/inspect.MiB, max/inspect.MiB, 100*enqueue.DefaultHighWatermark)
}

// resumed takes in that a row was settled.
func (r *BackpressureNotice) resumed() {
	if !r.told.IsZero() && time.Since(r.waited) >= goneOn {
		r.told = time.Time{}
		fmt.Fprintln(r.Writer, "going on: Redis has room again")
	}
}

// Wrap is a createAll of which it sees each row that is settled.
func (r *BackpressureNotice) Wrap(create createAll) createAll {
	return func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
		return create(ctx, jobs, func(result enqueue.Result) {
			r.resumed()
			each(result)
		})
	}
}
