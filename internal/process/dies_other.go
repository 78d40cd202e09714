//go:build !unix

package process

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
