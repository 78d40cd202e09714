package cli

import (
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/lab/prove"
)

func proveCommand(f *cmdutil.Factory) *cobra.Command {
	var o prove.Options
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Kill and cut off workers and Redis, and verify every job's outcome",
		Long: `prove tests camsq's promise on this machine: each job creates at most one
instance, ends in exactly one recorded outcome, and that outcome reaches the
webhook.

It starts a redis-server that writes every change to the disk, worker processes,
a fake API that fails calls, and a webhook receiver that fails deliveries. It
kills and freezes workers, kills Redis, and cuts connections. In the end it
compares the ledger with what the API and the receiver saw. It reads none of
your settings and calls no real API.

--redis URL uses a database of your own Redis, which must hold no camsq jobs.
Redis is then not killed, only the connections to it are cut, and the keys are
deleted in the end.

The exit code is 0 only if nothing was created twice, nothing was lost, and
every job is accounted for. A job whose call had an unclear answer may end held,
for an operator to decide: then its instance, if it has one, must be among the
candidates, and no other job's. The same seed gives the same plan and the same
faults; what they hit depends on the machine.`,
		Args: cmdutil.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Seed == 0 {
				o.Seed = rand.Uint64N(1<<32) + 1
			}
			if err := o.Validate(); err != nil {
				return err
			}
			var err error
			if o.Oddities, err = prove.ParseOddities(o.OddList); err != nil {
				return err
			}
			o.KeepLogs = f.Dir.Path(o.KeepLogs)
			return prove.Run(cmd.Context(), o, f.Env, f.Stdout, f.Stderr)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&o.Jobs, "jobs", 1000, "jobs to send")
	flags.IntVar(&o.Kills, "kills", 15, "how often a worker is killed (kill -9)")
	flags.IntVar(&o.Stops, "stops", 2, "how often a worker is frozen for longer than its lease (SIGSTOP)")
	flags.IntVar(&o.Workers, "workers", 3, "worker processes")
	flags.Float64Var(&o.Faults, "faults", 0.2, "share of calls and of webhooks that fail, 0 to 0.9")
	flags.StringVar(&o.OddList, "odd", prove.DefaultOddities, "unusual behaviour of the API: `names` (stored in another form), codes, pages, contradictions; several with commas, all, or none")
	flags.DurationVar(&o.Away, "away", 0, "how long the API is unreachable, once")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the plan and the faults (default random)")
	flags.StringVar(&o.Redis, "redis", prove.OwnRedis, "auto: a redis-server from the PATH; or the `URL` of an empty database")
	flags.BoolVar(&o.Keep, "keep", false, "with --redis URL: keep the keys")
	flags.StringVar(&o.KeepLogs, "keep-logs", "", "keep the logs in a folder of this `directory`")
	flags.DurationVar(&o.StopAfter, "stop-after", 0, "end after this `time`; jobs that have not ended by then count as in flight")
	flags.BoolVar(&o.JSON, "json", false, "print the result as JSON")
	flags.BoolVar(&o.Quiet, "quiet", false, "print nothing but the result")
	return cmd
}
