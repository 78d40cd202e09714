//go:build unix

package prove

import (
	"syscall"
)

// freezeSignal stops a process where it stands, thawSignal lets it go on.
const (
	freezeSignal = syscall.SIGSTOP
	thawSignal   = syscall.SIGCONT
)
