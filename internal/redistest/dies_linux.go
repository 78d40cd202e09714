package redistest

import "syscall"

// dieWithParent has the kernel end redis-server when the test binary dies
// without its cleanups, by a panic or a timeout.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
