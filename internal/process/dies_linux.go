package process

import "syscall"

// dieWithParent has the kernel end the child when this process dies without its
// clean-up, by a panic or a kill, and keeps the terminal's Ctrl-C from it: that one
// is for this process, which ends its children in order.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
