// Command camsq creates Alibaba Cloud Chat App Message Service instances from a
// queue: each job at most one, each outcome told to a webhook. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// The exit codes, which scripts rely on.
const (
	exitOK          = 0
	exitSomeFailed  = 1 // some jobs or rows failed
	exitUsage       = 2 // wrong usage or configuration
	exitUnreachable = 3 // what is needed could not be reached
)

// silent drops what go-redis would write to stderr by itself: its errors come back
// too, and are said once.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// setGlobals sets what libraries keep for a whole process.
var setGlobals = sync.OnceFunc(func() {
	redis.SetLogger(silent{})
	cobra.EnableCommandSorting = false // the order of [program.commands] is for newcomers
})

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitError is an error with the exit code that it means.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage is an error in what the user gave: arguments, settings, a file's form.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// unreachable is an error of what the program needs and could not reach.
func unreachable(format string, args ...any) error {
	return &exitError{exitUnreachable, fmt.Errorf(format, args...)}
}

// errSomeFailed ends a command that has said itself what failed.
var errSomeFailed = &exitError{exitSomeFailed, errors.New("some failed")}

// withCode gives an error an exit code.
func withCode(code int, err error) error { return &exitError{code, err} }

// worded is err under a text of its own.
func worded(code int, text string, err error) error {
	return &exitError{code, wordedError{text, err}}
}

type wordedError struct {
	text string
	err  error
}

func (e wordedError) Error() string { return e.text }
func (e wordedError) Unwrap() error { return e.err }

// program is what every command has at hand.
type program struct {
	env            []string
	dir            folder // where relative paths start
	stdin          io.Reader
	stdout, stderr io.Writer
	flags          map[string]*string
}

// run is the whole program but for the process around it. It prints at most one
// line for an error.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}).run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	setGlobals()
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if err != errSomeFailed {
		fmt.Fprintln(p.stderr, "camsq:", err)
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitUsage // cobra's own: an unknown command or flag
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "camsq",
		Short: "Create Alibaba Cloud Chat App (CAMS) instances from a queue, each at most once",
		Long: `camsq creates Alibaba Cloud Chat App Message Service (CAMS) instances from a queue.
Jobs come from a file or a program and go into Redis; workers make the signed calls
within each account's quota; every outcome goes to a signed webhook. Each job creates
at most one instance, whatever dies in between.

To see it at work on this machine alone: camsq demo

Each setting is a flag, a variable of the environment (the name in capitals) or a line of the
file that CAMSQ_CONFIG names; the flag goes first, then the environment. Secrets have no flag:
` + secretSettings(),
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.Flags().SortFlags = false
	p.addSettings(root)
	root.AddCommand(p.commands()...)
	for _, cmd := range root.Commands() {
		cmd.InheritedFlags().SortFlags = false // in the order of the settings
	}
	return root
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
