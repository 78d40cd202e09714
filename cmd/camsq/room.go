package main

import (
	"fmt"
	"io"
	"time"

	"github.com/camsq/camsq/enqueue"
)

// tellRoom returns what says, at first and then once a minute, that an import waits for
// room in Redis: see [enqueue.Config].
func tellRoom(w io.Writer) func(used, max int64) {
	var told time.Time
	return func(used, max int64) {
		if time.Since(told) < time.Minute {
			return
		}
		told = time.Now()
		if max == 0 {
			fmt.Fprintln(w, "waiting: Redis has no memory left; this goes on when there is room again")
			return
		}
		const mb = 1 << 20
		fmt.Fprintf(w, "waiting: Redis uses %d of its %d MB; this goes on below %.0f %%, so that workers can take jobs out\n",
			used/mb, max/mb, 100*enqueue.DefaultRoom)
	}
}
