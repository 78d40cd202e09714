package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// child is a process that is to die, in one way or another.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// startChild starts a process whose output goes to the end of a file.
func startChild(cmd *exec.Cmd, log string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = apart()
	c := &child{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux takes the end of the thread that started a child for the end of
		// the parent, so that thread must stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// send is for a process that may have ended: then it does nothing.
func (c *child) send(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// kill ends the process without a word, frozen or not, and waits for its end.
func (c *child) kill() {
	c.send(syscall.SIGKILL)
	<-c.exited
}
