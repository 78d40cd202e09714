//go:build unix && !linux

package process

import "syscall"

// dieWithParent only keeps the terminal's Ctrl-C from the child.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
