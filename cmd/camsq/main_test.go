package main

import (
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

// runAsCamsq makes the test binary be camsq, so that tests can start it as a
// process of its own without building it first.
const runAsCamsq = "RUN_AS_CAMSQ"

func TestMain(m *testing.M) {
	if os.Getenv(runAsCamsq) == "1" {
		main()
		return
	}
	redis.SetLogger(silent{})
	cobra.EnableCommandSorting = false // as main does
	os.Exit(m.Run())
}
