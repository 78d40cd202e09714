package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/camsq/camsq/enqueue"
	"github.com/camsq/camsq/tasks"
)

// rehearsal stands in for the client in a dry run: it sends nothing, and knows
// the jobs of this run.
type rehearsal struct {
	seen *seen
	// look says where jobs stand that are in Redis, and "" for those that are not.
	// Nil means that nobody looks.
	look func(ctx context.Context, jobs []tasks.Job) ([]tasks.State, error)
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
	states := map[int]tasks.State{}
	if h.look != nil {
		var jobs []tasks.Job
		var at []int
		for i, r := range page {
			if r.Err == nil {
				jobs, at = append(jobs, r.Job), append(at, i)
			}
		}
		found, err := h.look(ctx, jobs)
		if err != nil {
			return err
		}
		for i, state := range found {
			states[at[i]] = state
		}
	}
	for i, r := range page {
		if r.Err == nil {
			switch _, request, twin := h.seen.find(r.Job.Ref()); {
			case twin && request == requestDigest(r.Job):
				r.Status = enqueue.StatusKnown
			case twin:
				r.Status, r.Err = enqueue.StatusConflict, &enqueue.ConflictError{Ref: r.Job.Ref(), State: r.State}
			case states[i] != "":
				r.Status, r.State = enqueue.StatusKnown, states[i]
			}
		}
		each(r)
	}
	return nil
}

// rehearse is a dry run: everything but the sending.
func (p *program) rehearse(ctx context.Context, files []source, o enqueueOptions, c config) error {
	h := &rehearsal{seen: newSeen(0)}
	in := newImporter(p.stdin, p.stderr, h.createAll)
	in.seen, in.digest, in.all, in.rejected = h.seen, requestDigest, o.listAll, o.rejected
	lanes, refused := map[string]int64{}, false
	for _, s := range files {
		got, err := in.take(ctx, s)
		if got.rows > 0 {
			got.print(p.stdout, true)
			fmt.Fprintln(p.stdout)
		}
		if errors.Is(err, context.Canceled) {
			return &exitError{exitSomeFailed, fmt.Errorf("stopped in %s; nothing was sent", s.name)}
		}
		if _, ends := errors.AsType[*enqueue.FileError](err); ends {
			err = usage("%w", fileFault(err))
		}
		if err != nil {
			return err
		}
		for account, n := range got.lanes {
			lanes[account] += n
		}
		refused = refused || got.refused()
	}
	fmt.Fprintln(p.stdout, estimate(lanes, c))
	text := "Nothing was sent."
	if h.look == nil {
		text += " Whether a job is in the queue already was not looked up; if so, it is not made twice."
	}
	fmt.Fprintln(p.stdout, text)
	if refused {
		return errSomeFailed
	}
	return nil
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
