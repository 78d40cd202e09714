package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/enqueue/rowfile"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// rehearsal stands in for the client in a dry run: it sends nothing, and knows
// the jobs of this run.
type rehearsal struct {
	seen *seen
	// look says what is in Redis of some jobs: see [enqueue.Client.Look]. Nil means that
	// nobody looks.
	look func(context.Context, []tasks.Job) ([]enqueue.Result, error)
}

// rehearsalPage is how many jobs are looked up in one step.
const rehearsalPage = 500

// createAll is what becomes of each job, as [enqueue.Client.CreateAll] would tell.
func (h *rehearsal) createAll(ctx context.Context, jobs iter.Seq2[tasks.Job, error], each func(enqueue.Result)) (enqueue.Summary, error) {
	page := make([]enqueue.Result, 0, rehearsalPage)
	flush := func() error {
		if err := h.settle(ctx, page, each); err != nil {
			return err
		}
		page = page[:0]
		return ctx.Err()
	}
	for job, err := range jobs {
		r := enqueue.Result{Job: job, Status: enqueue.StatusQueued, State: tasks.StateQueued, Err: err}
		if err != nil {
			r.Status = enqueue.StatusInvalid
		}
		if page = append(page, r); len(page) == rehearsalPage {
			if err := flush(); err != nil {
				return enqueue.Summary{}, err
			}
		}
	}
	return enqueue.Summary{}, flush()
}

// settle tells of some jobs, in order: each must be seen before the next is.
func (h *rehearsal) settle(ctx context.Context, page []enqueue.Result, each func(enqueue.Result)) error {
	if err := h.compare(ctx, page); err != nil {
		return err
	}
	for _, r := range page {
		if r.Status != enqueue.StatusInvalid {
			switch _, request, twin := h.seen.find(r.Job.Ref()); {
			case twin && request == requestDigest(r.Job):
				r.Status, r.Err = enqueue.StatusKnown, nil
			case twin:
				r.Status, r.Err = enqueue.StatusConflict, &enqueue.ConflictError{Ref: r.Job.Ref(), State: r.State}
			}
		}
		each(r)
	}
	return nil
}

// compare settles the jobs of a page that are in Redis already.
func (h *rehearsal) compare(ctx context.Context, page []enqueue.Result) error {
	if h.look == nil {
		return nil
	}
	var jobs []tasks.Job
	var at []int
	for i, r := range page {
		if r.Status == enqueue.StatusQueued {
			jobs, at = append(jobs, r.Job), append(at, i)
		}
	}
	found, err := h.look(ctx, jobs)
	for i, r := range found {
		page[at[i]] = r
	}
	return err
}

// dryNode returns a node whose Redis can be asked what is there already, or why there
// is none: a dry run needs neither Redis nor a data key, and makes none. What would be
// wrong without the dry run too is an error.
func dryNode(ctx context.Context, c config) (n *node, without string, err error) {
	if c.DataKeys == "" {
		path, err := dataKeyFile()
		if err != nil {
			return nil, "", usage("%w", err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, "there is no data key yet", nil
		}
	}
	if n, err = newNode(c); err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dryNodeTime)
	defer cancel()
	n.use = ledger.Producing
	if err = n.answers(ctx); err == nil {
		return n, "", nil
	}
	n.close()
	if e, ok := errors.AsType[*exitError](err); ok && e.code == exitUnreachable {
		return nil, err.Error(), nil
	}
	return nil, "", err
}

// dryNodeTime is how long a dry run waits for a Redis that may not be there.
const dryNodeTime = 3 * time.Second

// rehearse is a dry run: everything but the sending.
func (p *program) rehearse(ctx context.Context, files []source, o enqueueOptions, c config) error {
	h := &rehearsal{seen: newSeen(0)}
	words := wording{queued: "valid", reasons: true}
	n, without, err := dryNode(ctx, c)
	if err != nil {
		return err
	}
	if n != nil {
		defer n.close()
		h.look, words.queued = n.client.Look, "valid and new"
	}
	in := newImporter(p.stdin, p.stderr, h.createAll)
	in.seen, in.digest, in.all, in.rejected = h.seen, requestDigest, o.listAll, o.rejected
	lanes, refused := map[string]int64{}, false
	for _, s := range files {
		got, err := in.take(ctx, s)
		if got.rows > 0 {
			got.print(p.stdout, words)
			fmt.Fprintln(p.stdout)
		}
		if err != nil {
			return brokenRehearsal(err, s, c)
		}
		for account, n := range got.lanes {
			lanes[account] += n
		}
		refused = refused || got.refused()
	}
	fmt.Fprintln(p.stdout, estimate(lanes, c))
	fmt.Fprintln(p.stdout, "Nothing was sent.")
	if n == nil {
		fmt.Fprintf(p.stdout, "What is in the queue already was not looked up (it is not made twice): %s\n", without)
	}
	if refused {
		return errSomeFailed
	}
	return nil
}

// brokenRehearsal words an error in the middle of a dry run.
func brokenRehearsal(err error, s source, c config) error {
	if errors.Is(err, context.Canceled) {
		return withCode(exitSomeFailed, fmt.Errorf("stopped in %s; nothing was sent", s.name))
	}
	if _, ends := errors.AsType[*rowfile.FileError](err); ends {
		return usage("%w", fileFault(err))
	}
	if _, told := errors.AsType[*exitError](err); told {
		return err
	}
	return unreachable("Redis at %s stopped answering while %s was compared with what is there; nothing was sent: %w", c.redisHost(), s.name, err)
}

// estimate says how long the creates of new jobs take at best.
func estimate(lanes map[string]int64, c config) string {
	var longest time.Duration
	var slowest account
	for _, a := range c.Accounts {
		if took := time.Duration(float64(lanes[a.Name]) / a.Rate * float64(time.Second)); took > longest {
			longest, slowest = took, a
		}
	}
	if longest == 0 {
		return "There is nothing to create."
	}
	text := fmt.Sprintf("At %g a second for account %s, %s need ", slowest.Rate, slowest.Name, plural(lanes[slowest.Name], "create"))
	if lanes[slowest.Name] == 1 {
		text = strings.TrimSuffix(text, "need ") + "needs "
	}
	if longest >= time.Second {
		text += "at least "
	}
	text += span(longest)
	if len(lanes) > 1 {
		text += "; the other accounts are done before"
	}
	return text + "."
}
