package prove

import (
	"fmt"
	"time"

	"github.com/camsq/camsq/internal/exit"
)

// Options are the flags of the command. Validate checks them.
type Options struct {
	Jobs, Kills, Workers, Stops int
	Seed                        uint64
	Faults                      float64
	Redis                       string
	Keep                        bool
	KeepLogs                    string
	StopAfter                   time.Duration
	JSON, Quiet                 bool
	OddList                     string
	Oddities                    []oddity // OddList, parsed
	Away                        time.Duration
}

// OwnRedis is the value of Redis for which the trial starts a redis-server of its own.
const OwnRedis = "auto"

// Validate returns an error of usage for a value out of its bounds.
func (o Options) Validate() error {
	switch {
	case o.Jobs < 1 || o.Jobs > 1_000_000:
		return exit.Usagef("prove: --jobs %d is not from 1 to 1,000,000", o.Jobs)
	case o.Workers < 1 || o.Workers > 20:
		return exit.Usagef("prove: --workers %d is not from 1 to 20", o.Workers)
	case o.Kills < 0 || o.Stops < 0 || o.StopAfter < 0 || o.Away < 0:
		return exit.Usagef("prove: no number may be negative")
	case !(o.Faults >= 0 && o.Faults <= 0.9):
		return exit.Usagef("prove: --faults %v is not from 0 to 0.9", o.Faults)
	}
	return nil
}

func (o Options) account() string { return fmt.Sprintf("prove-%d", o.Seed) }

// chaos is how long faults are injected.
func (o Options) chaos() time.Duration {
	return max(10*time.Second, time.Duration(o.Kills)*killPause)
}

// rate is the creates per second: such that there is work for as long as chaos lasts.
func (o Options) rate() float64 {
	return max(5, 1.5*float64(o.Jobs)/o.chaos().Seconds())
}

func (o Options) settleWindow() time.Duration {
	if o.Stops > 0 {
		return frozenSettle
	}
	return proveSettle
}
