// Command camsq creates Alibaba Cloud Chat App Message Service instances from a
// queue: each job creates at most one, and each outcome reaches a webhook. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/camsq/camsq/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
