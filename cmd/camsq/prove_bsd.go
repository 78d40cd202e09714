//go:build unix && !linux

package main

import "syscall"

// apart keeps a child out of the terminal's Ctrl-C, which is not meant for it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
