package testbed

import (
	"syscall"
	"time"
)

// sleepUntil is more exact than time.Sleep, which waits for whole milliseconds where
// nothing else is to be done.
func sleepUntil(due time.Time) {
	if d := time.Until(due); d > 0 {
		t := syscall.NsecToTimespec(d.Nanoseconds())
		_ = syscall.Nanosleep(&t, nil) // cut short by a signal, it delays a little less
	}
}
