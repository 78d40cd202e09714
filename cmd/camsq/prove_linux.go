package main

import "syscall"

// dieWithParent has the kernel end a child when this process dies without its
// clean-up: a frozen worker would stay for ever.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
