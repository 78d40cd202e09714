// Command bench measures camsq on this machine: a redis-server of its own, the CAMS
// stand-in and the workers as processes of their own, all on the loopback interface.
// make bench runs it. It prints one table, as Markdown; what is going on goes to the
// standard error.
//
//	-only a,c   some of the parts
//	-quick      every part, shorter: in three minutes, and with coarser figures
//
// It promises that all figures of a table come from one run, that a figure is of a run
// in which every job has ended as created, and none twice, and that no process and no
// file of it is left behind. It needs redis-server and redis-benchmark on the PATH and
// Linux's /proc, and touches no Redis and no cloud that it did not start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if len(os.Args) > 1 && os.Args[1] == peerCommand {
		err = runPeer(ctx, os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// part is one of the things that are measured. It adds its rows as it has them.
type part struct {
	name, what string
	measure    func(ctx context.Context, l *lab, p plan, t *table) error
}

func parts() []part {
	return []part{
		{"a", "the quota's use, beside asynq's own pattern", measureQuota},
		{"b", "a quota that is cut and restored", measureCut},
		{"c", "a small account beside a large one", measureFairness},
		{"d", "the cost of a job, beside a bare asynq handler", measureCost},
		{"e", "idle", measureIdle},
		{"f", "the latency of a job that comes alone", measureLatency},
		{"g", "a file into the queue, beside a loop over asynq's client", measureBulk},
	}
}

// options are the command line.
type options struct {
	plan  plan
	parts []part
}

func parseOptions(args []string, errs io.Writer) (options, error) {
	o := options{plan: fullPlan()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errs)
	quick := flags.Bool("quick", false, "measure everything shorter, in three minutes")
	only := flags.String("only", "", "the `parts` to measure, such as a,c (default all)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%s: want flags only: -quick, -only a,c", flags.Arg(0))
	}
	if *quick {
		o.plan = quickPlan()
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(*only, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	delete(wanted, "")
	all := len(wanted) == 0
	for _, p := range parts() {
		if all || wanted[p.name] {
			o.parts = append(o.parts, p)
		}
		delete(wanted, p.name)
	}
	for name := range wanted {
		return o, fmt.Errorf("-only %s: there is no part %q; there are a to g", *only, name)
	}
	return o, nil
}

func run(ctx context.Context, args, env []string, out, errs io.Writer) (err error) {
	o, err := parseOptions(args, errs)
	if err != nil {
		return err
	}
	l, err := newLab(ctx, env, errs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()

	var t table
	start := time.Now()
	for _, p := range o.parts {
		l.say("%s: %s", p.name, p.what)
		if err = p.measure(ctx, l, o.plan, &t); err != nil {
			err = fmt.Errorf("part %s: %w", p.name, err)
			break
		}
	}
	if len(t.rows) > 0 {
		version, infoErr := l.redisVersion(context.WithoutCancel(ctx))
		err = errors.Join(err, infoErr)
		fmt.Fprintf(out, "%d CPUs (%s/%s), %s, Redis %s; %s.\n\n%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
			runtime.Version(), version, time.Since(start).Round(time.Second), t.markdown())
	}
	return err
}
