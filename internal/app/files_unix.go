//go:build unix

package app

import (
	"syscall"
)

// filesLimit is how many files this process may hold open; 0 if that is unknown. Go has
// raised the soft limit to the hard one.
func filesLimit() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur) //nolint:gosec,unconvert // signed on some systems
}
