package jobs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/camsq/camsq/internal/app"
	"github.com/camsq/camsq/internal/cli/cmdutil"
	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/operate"
	"github.com/camsq/camsq/tasks"
)

// NewResolve makes the command resolve.
func NewResolve(f *cmdutil.Factory) *cobra.Command {
	var o resolveOptions
	cmd := &cobra.Command{
		Use:   "resolve JOB --created INSTANCE_ID | --absent | --failed",
		Short: "Decide how a held job ended",
		Long: `resolve decides how a held job (ID or ACCOUNT/ID) ended:

  --created ID  the instance with that ID is the job's: the job is recorded and
                reported as created
  --absent      none of the instances in question is the job's: the job returns
                to the queue with another budget, is looked up once more, and is
                called again if the lookup finds none
  --failed      the job is given up

Exit codes: 0 it is done; 1 it is not, and stderr says why; 2 wrong usage; 3
Redis did not answer.`,
		Example: `  camsq resolve order-7 --created cams-xxxx --note "seen in the console"
  camsq resolve default/order-8 --absent`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.Usagef("resolve takes exactly one job, not %d; see camsq resolve --help", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return resolve(f, cmd, args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.created, "created", "", "the `ID` of the job's instance")
	flags.BoolVar(&o.absent, "absent", false, "the job has no instance: try again")
	flags.BoolVar(&o.failed, "failed", false, "give the job up")
	flags.BoolVar(&o.other, "other", false, "with --created: an instance that is not among those in question")
	flags.StringVar(&o.note, "note", "", "`text` for the record; the webhook contains it, so nothing personal")
	cmd.MarkFlagsOneRequired("created", "absent", "failed")
	cmd.MarkFlagsMutuallyExclusive("created", "absent", "failed")
	cmdutil.AddSettings(cmd, config.Client|config.Operator)
	return cmd
}

type resolveOptions struct {
	created               string
	absent, failed, other bool
	note                  string
}

// decision checks what the operator typed.
func (o resolveOptions) decision() (operate.Decision, error) {
	d := operate.Decision{Note: humanize.Sanitize(o.note), Other: o.other}
	switch {
	case len(d.Note) > operate.MaxNote:
		return d, exit.Usagef("--note has %d bytes; it may have up to %d", len(d.Note), operate.MaxNote)
	case o.absent:
		d.By = tasks.StepResolveAbsent
	case o.failed:
		d.By = tasks.StepResolveFailed
	default:
		d.By, d.InstanceID = tasks.StepResolveCreated, o.created
		if o.created == "" || len(o.created) > 128 || strings.Join(strings.Fields(humanize.Sanitize(o.created)), "") != o.created {
			return d, exit.Usagef("--created %q: an instance ID has 1 to 128 characters and no spaces", o.created)
		}
	}
	return d, nil
}

func resolve(f *cmdutil.Factory, cmd *cobra.Command, name string, o resolveOptions) error {
	d, err := o.decision()
	if err != nil {
		return err
	}
	a, err := f.AppFor(cmd, app.Operating)
	if err != nil {
		return err
	}
	defer a.Close()
	ctx := cmd.Context()
	job, err := a.OneJob(ctx, name, false)
	if err != nil {
		return err
	}
	r, err := cmdutil.Operator(a, f).Resolve(ctx, tasks.Ref{Account: job.Account, ID: job.ID}, d)
	if other, ok := errors.AsType[*operate.NotCandidateError](err); ok {
		return exit.Usagef("--created %s: it is not among the instances in question (%s); add --other if it is the job's all the same",
			other.InstanceID, strings.Join(other.Candidates, ", "))
	}
	if err != nil {
		return refusal(ctx, a.Model, err)
	}
	fmt.Fprintf(f.Stdout, "Job %s is %s: %s\n", r.Ref(), r.State, humanize.Sanitize(r.Message))
	return nil
}
