package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// roomTeller says, at first and then once a minute, that an import waits for room in
// Redis (see [enqueue.Config]), and that it goes on.
type roomTeller struct {
	w io.Writer
	// told is when it was last said that the import waits, or zero; waited is when it
	// last did.
	told, waited time.Time
}

// goneOn is how long an import must go on before that is said: near the limit it goes
// on and waits again by turns.
const goneOn = 5 * time.Second

const mb = 1 << 20

func (r *roomTeller) waits(used, max int64) {
	r.waited = time.Now()
	if r.waited.Sub(r.told) < time.Minute {
		return
	}
	r.told = r.waited
	if max == 0 {
		fmt.Fprintln(r.w, "waiting: Redis has no memory left; this goes on when there is room again")
		return
	}
	fmt.Fprintf(r.w, "waiting: Redis uses %d of its %d MB; this goes on below %.0f %%, so that workers can take jobs out\n",
		used/mb, max/mb, 100*enqueue.DefaultRoom)
}

// goesOn takes in that a row was settled.
func (r *roomTeller) goesOn() {
	if !r.told.IsZero() && time.Since(r.waited) >= goneOn {
		r.told = time.Time{}
		fmt.Fprintln(r.w, "going on: Redis has room again")
	}
}

// watch is a createAll of which it sees each row that is settled.
func (r *roomTeller) watch(create createAll) createAll {
	return func(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
		return create(ctx, jobs, func(result enqueue.Result) {
			r.goesOn()
			each(result)
		})
	}
}
