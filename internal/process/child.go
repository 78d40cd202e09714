// Package process starts other programs for tests and benchmarks, and sees to it
// that none of them outlives this one.
//
// It promises that a child's output goes to a file, that its end is always waited
// for, and, on Linux, that it dies with this process however that ends. It is for
// programs on this machine and never ends a process that it did not start.
package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Child is a process that runs, or has ended.
type Child struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts a process whose output goes to the end of the file log.
func Start(cmd *exec.Cmd, log string) (*Child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	c := &Child{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux sends the parent-death signal when the thread that started
		// the child ends, so that thread must stay for as long as the child.
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

// Pid is the process's id.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// Ended is how the process ended. It is nil before that.
func (c *Child) Ended() *os.ProcessState { return c.cmd.ProcessState }

// Signal sends a signal. It fails if the process has ended.
func (c *Child) Signal(s os.Signal) error { return c.cmd.Process.Signal(s) }

// Kill ends the process with SIGKILL, so that it gets no chance to do anything, and
// returns when it is gone.
func (c *Child) Kill() {
	_ = c.Signal(syscall.SIGKILL) // it may have ended
	<-c.exited
}

// Stop asks the process to end, with SIGTERM, and kills it if it has not after the
// given time. The error says how it ended if that was not as it should.
func (c *Child) Stop(within time.Duration) error {
	_ = c.Signal(syscall.SIGTERM) // it may have ended
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.exited:
	case <-timer.C:
		c.Kill()
		return fmt.Errorf("%s (pid %d) had not ended %v after SIGTERM", c.cmd.Path, c.Pid(), within)
	}
	if !c.cmd.ProcessState.Success() {
		return fmt.Errorf("%s (pid %d): %s", c.cmd.Path, c.Pid(), c.cmd.ProcessState)
	}
	return nil
}

// FreePort finds a free loopback port below those that the system gives to outgoing
// connections: while a server is away, a client that dials must not be given it.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		var l net.Listener
		if l, err = net.Listen("tcp", Loopback(port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no port is free: %w", err)
}

// Loopback is the address of a port of this machine.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
