package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// runAsCamsq makes the test binary be camsq, so that tests can start it as a
// process of its own without building it first.
const runAsCamsq = "RUN_AS_CAMSQ"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCamsq) == "1" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	setGlobals() // before tests run in parallel
	os.Exit(m.Run())
}
