package enqueue

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/internal/importer"
	"github.com/camsq/camsq/internal/inspect"
	"github.com/camsq/camsq/tasks"
)

// BackpressureNotice prints, at first and then once a minute, that an import waits until Redis
// has memory (see [enqueue.Config]), and that it continues.
type BackpressureNotice struct {
	Writer io.Writer
	// printed is when the last line about waiting was printed, or zero; waited is when the
	// import last waited.
	printed, waited time.Time
}

// resumeTime is how long an import must run before that is printed: near the limit it runs
// and waits by turns.
const resumeTime = 5 * time.Second

// Waiting notes that the import waits; used and max are bytes of Redis's memory.
func (r *BackpressureNotice) Waiting(used, max int64) {
	r.waited = time.Now()
	if r.waited.Sub(r.printed) < time.Minute {
		return
	}
	r.printed = r.waited
	if max == 0 {
		fmt.Fprintln(r.Writer, "waiting: Redis has no memory left; the import continues when it has")
		return
	}
	fmt.Fprintf(r.Writer, "waiting: Redis uses %d of its %d MB; the import continues below %.0f %%, so that workers can take jobs out\n",
		used/inspect.MiB, max/inspect.MiB, 100*enqueue.DefaultHighWatermark)
}

// resumed is called with each row's result.
func (r *BackpressureNotice) resumed() {
	if !r.printed.IsZero() && time.Since(r.waited) >= resumeTime {
		r.printed = time.Time{}
		fmt.Fprintln(r.Writer, "continuing: Redis has memory again")
	}
}

// Wrap returns create with a notice when rows are accepted again.
func (r *BackpressureNotice) Wrap(create importer.CreateAll) importer.CreateAll {
	return func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
		return create(ctx, jobs, func(result enqueue.Result) {
			r.resumed()
			each(result)
		})
	}
}
