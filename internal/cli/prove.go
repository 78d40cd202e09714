package cli

import (
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/lab/prove"
)

func proveCommand(p *cmdutil.Factory) *cobra.Command {
	var o prove.Options
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Kill and cut off workers and Redis, and verify every job's outcome",
		Long: `prove puts camsq's promise to the test on this machine: each job creates at most one
instance, ends in one recorded outcome, and the outcome reaches the webhook.

It starts a redis-server that writes through to the disk, worker processes, a stand-in for
the cloud that misbehaves, and a webhook receiver that fails; then it kills and freezes
workers, kills Redis, and cuts the wires between them. In the end it holds the ledger
against what the cloud and the receiver have seen. No setting of yours is used and no real
cloud is touched.

With --redis URL it works on a database of your own Redis, which must hold no camsq jobs. It
then kills no Redis, but cuts the wires to it, and takes away its keys in the end.

The exit code is 0 only if nothing was created twice, nothing was lost, and the books balance.
A job whose call had a doubtful answer may end held, for a person; then its instance, if
there is one, must be among the candidates, and no other job's.
The same seed gives the same plan and the same faults; what they hit depends on the machine.`,
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
			o.KeepLogs = p.Dir.Path(o.KeepLogs)
			return prove.Run(cmd.Context(), o, p.Env, p.Stdout, p.Stderr)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.Jobs, "jobs", 1000, "jobs to send")
	f.IntVar(&o.Kills, "kills", 15, "times that a worker is killed (kill -9)")
	f.IntVar(&o.Stops, "stops", 2, "times that a worker is frozen for longer than its lease (SIGSTOP)")
	f.IntVar(&o.Workers, "workers", 3, "worker processes")
	f.Float64Var(&o.Faults, "faults", 0.2, "share of calls and of webhooks that go wrong, 0 to 0.9")
	f.StringVar(&o.OddList, "odd", prove.DefaultOddities, "what else the cloud does: `names` (kept otherwise), codes, pages, contradictions; several with commas, all, or none")
	f.DurationVar(&o.Away, "away", 0, "for so long the cloud cannot be reached, once")
	f.Uint64Var(&o.Seed, "seed", 0, "of the plan and the faults (default random)")
	f.StringVar(&o.Redis, "redis", prove.OwnRedis, "auto: a redis-server from the PATH; or the `URL` of an empty database")
	f.BoolVar(&o.Keep, "keep", false, "with --redis URL: leave the keys there")
	f.StringVar(&o.KeepLogs, "keep-logs", "", "keep the logs in a folder of this `directory`")
	f.DurationVar(&o.StopAfter, "stop-after", 0, "end after this `time`; jobs that have not ended by then count as in flight")
	f.BoolVar(&o.JSON, "json", false, "print the result as JSON")
	f.BoolVar(&o.Quiet, "quiet", false, "say nothing until the result")
	return cmd
}
