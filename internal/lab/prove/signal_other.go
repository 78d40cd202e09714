//go:build !unix

package prove

import "syscall"

// There is no signal here that stops a process; sending these is an error.
const (
	freezeSignal = syscall.Signal(-1)
	thawSignal   = syscall.Signal(-1)
)
