package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// How the records of followed jobs are read: pageSize in one round trip, and
// windowSize of them between two pauses, so that a hundred thousand jobs are no
// load for Redis; each gets its turn.
const (
	pageSize   = 500
	windowSize = 2000

	// mostFollowed is how many jobs are followed one by one. Of more, their batches are.
	mostFollowed = 100_000

	// shownJobs is how many jobs without an instance are listed.
	shownJobs = 20
)

// wait follows what files have put into the queue to its end, and tells how it ended.
// there are the batches of the files that exist; hints says how to go on.
func (p *program) wait(ctx context.Context, n *node, jobs []followed, files []source, there []string, hints func()) error {
	stopped := func() {
		fmt.Fprint(p.stdout, "The jobs go on. To follow them again, send the same file again.\n\n")
		hints()
	}
	if len(jobs) > mostFollowed && len(there) == 0 {
		return usage("--wait follows more than %s jobs by their batch, and these were sent before under another one; follow that: camsq status --wait BATCH", thousands(mostFollowed))
	}
	if len(jobs) > mostFollowed {
		fmt.Fprintf(p.stderr, "More than %s jobs: their batches are followed, with all that they hold.\n", thousands(mostFollowed))
		return p.waitForBatches(ctx, n, there, false, stopped)
	}
	c := newJobCrowd(n.ledger, jobs)
	f := p.newFollower(n, c)
	begin := time.Now()
	err := f.follow(ctx)
	var end ending
	if err == nil {
		end, err = c.ending(ctx, f.ask)
	}
	f.progress.close()
	if err != nil {
		return p.noLonger(n, err, time.Since(begin), together(c.stand()), stopped)
	}
	end.print(p.stdout, time.Since(begin), files)
	if end.count[tasks.StateCreated] != end.count.sum() {
		return errSomeFailed
	}
	return nil
}

// noLonger tells that jobs are followed no more though they go on, and why.
func (p *program) noLonger(n *node, err error, after time.Duration, jobs tally, hints func()) error {
	fmt.Fprintf(p.stdout, "No longer followed, after %s: %s: %s\n", span(after), plural(jobs.sum(), "job"), jobs)
	hints()
	if err == errStopped {
		return errSomeFailed
	}
	return unreachable("Redis at %s has not answered for %s; the jobs go on as soon as it does: %w", n.config.redisHost(), span(awayTime), err)
}

// jobCrowd follows jobs by their records.
type jobCrowd struct {
	ledger records
	jobs   []followed
	open   []*followed
	lanes  map[string]tally
}

func newJobCrowd(l records, jobs []followed) *jobCrowd {
	c := &jobCrowd{ledger: l, jobs: jobs, lanes: map[string]tally{}}
	for i := range jobs {
		j := &c.jobs[i]
		if c.lanes[j.ref.Account] == nil {
			c.lanes[j.ref.Account] = tally{}
		}
		c.lanes[j.ref.Account][j.state]++
		if !settled(j.state) {
			c.open = append(c.open, j)
		}
	}
	return c
}

func (c *jobCrowd) stand() map[string]tally { return c.lanes }

func (c *jobCrowd) settled() bool { return len(c.open) == 0 }

func (c *jobCrowd) look(ctx context.Context, ask asking) error {
	window := c.open[:min(len(c.open), windowSize)]
	c.open = c.open[len(window):]
	return c.read(ctx, ask, window, func(j *followed, found ledger.Found) {
		if s := standing(found); s != j.state {
			c.lanes[j.ref.Account][j.state]--
			c.lanes[j.ref.Account][s]++
			j.state = s
		}
		if !settled(j.state) {
			c.open = append(c.open, j)
		}
	})
}

// read reads the records of jobs, in pages of one account each.
func (c *jobCrowd) read(ctx context.Context, ask asking, jobs []*followed, each func(*followed, ledger.Found)) error {
	var accounts []string
	lanes := map[string][]*followed{}
	for _, j := range jobs {
		if lanes[j.ref.Account] == nil {
			accounts = append(accounts, j.ref.Account)
		}
		lanes[j.ref.Account] = append(lanes[j.ref.Account], j)
	}
	for _, account := range accounts {
		for lane := lanes[account]; len(lane) > 0; {
			page := lane[:min(len(lane), pageSize)]
			lane = lane[len(page):]
			ids := make([]string, len(page))
			for i, j := range page {
				ids[i] = j.ref.ID
			}
			var found []ledger.Found
			err := ask(ctx, func(ctx context.Context) (err error) {
				found, err = c.ledger.GetMany(ctx, account, ids)
				return err
			})
			if err != nil {
				return err
			}
			for i, j := range page {
				each(j, found[i])
			}
		}
	}
	return nil
}

// ending is how the jobs ended.
type ending struct {
	count     tally
	codes     map[string]int64
	callbacks map[tasks.CallbackState]int64
	// without are the first jobs that have no instance.
	without []without
}

type without struct {
	followed
	code, message string
}

// ending reads every record once more: what a job ended with, and how far its
// callback is by now.
func (c *jobCrowd) ending(ctx context.Context, ask asking) (ending, error) {
	end := ending{count: tally{}, codes: map[string]int64{}, callbacks: map[tasks.CallbackState]int64{}}
	for begin := 0; begin < len(c.jobs); begin += windowSize {
		var window []*followed
		for i := begin; i < min(begin+windowSize, len(c.jobs)); i++ {
			window = append(window, &c.jobs[i])
		}
		err := c.read(ctx, ask, window, func(j *followed, found ledger.Found) {
			j.state = standing(found)
			end.count[j.state]++
			end.callbacks[found.Record.Callback.State]++
			if j.state == tasks.StateFailed {
				end.codes[found.Record.Code]++
			}
			if j.state != tasks.StateCreated && len(end.without) < shownJobs {
				end.without = append(end.without, without{*j, found.Record.Code, found.Record.Message})
			}
		})
		if err != nil {
			return ending{}, err
		}
	}
	return end, nil
}

func (e ending) print(w io.Writer, took time.Duration, files []source) {
	fmt.Fprintf(w, "%s, followed for %s\n", plural(e.count.sum(), "job"), span(took))
	var lines []countLine
	for _, s := range standings() {
		lines = append(lines, count(e.count[s], ended(s)))
	}
	printCounts(w, lines)
	printCodes(w, e.codes)
	e.printWithout(w, files)
	if told := e.callbacksText(); told != "" {
		fmt.Fprintf(w, "\nCallbacks: %s\n", told)
	}
}

// topCodes is how many codes of failed jobs are told.
const topCodes = 10

// printCodes tells why jobs failed, the most frequent reason first.
func printCodes(w io.Writer, codes map[string]int64) {
	var lines []countLine
	for _, c := range tasks.TopCodes(codes, topCodes) {
		lines = append(lines, count(c.Jobs, plain(c.Code)))
	}
	if len(lines) > 0 {
		fmt.Fprint(w, "\nWhy jobs failed\n")
		printCounts(w, lines)
	}
}

// ended says where a job stands after it was followed.
func ended(s tasks.State) string {
	switch s {
	case tasks.StateHeld:
		return "held: a person must decide (camsq held)"
	case rowUnknown:
		return "unknown: Redis has no record of them any more"
	case rowUnreadable:
		return "unreadable: their records are damaged, or sealed with another data key"
	}
	return string(s)
}

func (e ending) printWithout(w io.Writer, files []source) {
	if len(e.without) == 0 {
		return
	}
	fmt.Fprint(w, "\nWithout an instance\n")
	for _, j := range e.without {
		fmt.Fprintf(w, "  %s: %s, job %s\n", j.at, j.state, j.ref)
		if why := strings.TrimSuffix(plain(j.code)+": "+plain(j.message), ": "); why != "" {
			fmt.Fprintf(w, "      %s\n", why)
		}
	}
	if more := e.count.sum() - e.count[tasks.StateCreated] - int64(len(e.without)); more > 0 {
		fmt.Fprintf(w, "  and %s more; all of them:\n", thousands(more))
		for _, s := range files {
			if s.path != standardInput {
				fmt.Fprintln(w, "    camsq results --only failed,held,cancelled", s.resultArgs())
			}
		}
	}
}

func (e ending) callbacksText() string {
	names := map[tasks.CallbackState]string{
		tasks.CallbackDelivered: "delivered",
		tasks.CallbackOwed:      "still owed",
		tasks.CallbackDead:      "given up",
		tasks.CallbackGone:      "no longer wanted by the receiver",
	}
	text := ""
	for _, s := range []tasks.CallbackState{tasks.CallbackDelivered, tasks.CallbackOwed, tasks.CallbackDead, tasks.CallbackGone} {
		if e.callbacks[s] == 0 {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += thousands(e.callbacks[s]) + " " + names[s]
	}
	return text
}
