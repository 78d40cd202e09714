package main

import "syscall"

// apart keeps a child out of the terminal's Ctrl-C, which is not meant for it, and
// has the kernel end it when this process dies without its clean-up: a frozen
// worker would stay for ever.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
