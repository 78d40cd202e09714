package main

import (
	"context"
	"errors"
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
	lookPause  = 500 * time.Millisecond
	pageSize   = 500
	windowSize = 2000

	// lookTime bounds one round trip, awayTime how long Redis may be away.
	lookTime = 5 * time.Second
	awayTime = time.Minute
	// stillTime is how long nothing may happen before somebody is asked to look.
	stillTime = 30 * time.Second

	// shownJobs is how many jobs without an instance are listed.
	shownJobs = 20
)

var errStopped = errors.New("stopped")

func isNotFound(err error) bool { return errors.Is(err, tasks.ErrNotFound) }

// wait follows jobs to their end and tells how each ended.
func (p *program) wait(ctx context.Context, n *node, jobs []followed, files []source) error {
	f := &follower{ledger: n.ledger, jobs: jobs, count: tally{}, progress: newProgress(p.stderr, len(jobs))}
	begin := time.Now()
	err := f.follow(ctx)
	var end ending
	if err == nil {
		end, err = f.ending(ctx)
	}
	f.progress.close()
	if err == nil {
		end.print(p.stdout, time.Since(begin), files)
		if end.count[tasks.StateCreated] != end.count.sum() {
			return errSomeFailed
		}
		return nil
	}
	fmt.Fprintf(p.stdout, "No longer followed, after %s: %s: %s\n", span(time.Since(begin)), plural(int64(len(jobs)), "job"), f.count)
	fmt.Fprint(p.stdout, "The jobs go on. To follow them again, send the same file again.\n\n")
	p.printHints(files)
	if errors.Is(err, errStopped) {
		return errSomeFailed
	}
	return unreachable("Redis at %s has not answered for %s; the jobs go on as soon as it does: %w", n.config.redisHost(), span(awayTime), err)
}

// records is what a follower reads; the ledger has it.
type records interface {
	GetMany(ctx context.Context, account string, ids []string) ([]ledger.Found, error)
}

// follower watches jobs until none goes further by itself.
type follower struct {
	ledger   records
	jobs     []followed
	count    tally
	progress progress
}

// follow returns when every job has settled. Its error is errStopped when ctx
// ends, or what Redis answered last.
func (f *follower) follow(ctx context.Context) error {
	var open []*followed
	for i := range f.jobs {
		f.count[f.jobs[i].state]++
		if !settled(f.jobs[i].state) {
			open = append(open, &f.jobs[i])
		}
	}
	if len(open) > 0 {
		f.progress.show(f.count)
	}
	moved, told := time.Now(), false
	for len(open) > 0 {
		window := open[:min(len(open), windowSize)]
		open = open[len(window):]
		changed := false
		err := f.look(ctx, window, func(j *followed, found ledger.Found) {
			if s := standing(found); s != j.state {
				f.count[j.state]--
				f.count[s]++
				j.state, changed = s, true
			}
			if !settled(j.state) {
				open = append(open, j)
			}
		})
		if err != nil {
			return err
		}
		f.progress.show(f.count)
		switch {
		case changed:
			moved = time.Now()
		case !told && time.Since(moved) > stillTime:
			told = true
			f.progress.say("Nothing has happened for " + span(stillTime) + ". Is a worker running (camsq worker)? After one was killed, the jobs in its hands wait for up to two minutes. camsq status tells more.")
		}
		if len(open) > 0 && !pause(ctx, lookPause) {
			return errStopped
		}
	}
	return nil
}

// look reads the records of jobs, in pages of one account each.
func (f *follower) look(ctx context.Context, jobs []*followed, each func(*followed, ledger.Found)) error {
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
			found, err := f.read(ctx, account, page)
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

// read asks again while Redis is away, for awayTime at most.
func (f *follower) read(ctx context.Context, account string, page []*followed) ([]ledger.Found, error) {
	ids := make([]string, len(page))
	for i, j := range page {
		ids[i] = j.ref.ID
	}
	var away time.Time
	for {
		asked := time.Now()
		try, cancel := context.WithTimeout(ctx, lookTime)
		found, err := f.ledger.GetMany(try, account, ids)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, errStopped
		case err == nil && !away.IsZero():
			f.progress.say("Redis answers again.")
			return found, nil
		case err == nil:
			return found, nil
		case away.IsZero():
			away = asked
			f.progress.say("Redis does not answer; waiting for it. The jobs are not lost.")
		case time.Since(away) >= awayTime:
			return nil, err
		}
		if !pause(ctx, lookPause) {
			return nil, errStopped
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ending is how the jobs ended.
type ending struct {
	count     tally
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
func (f *follower) ending(ctx context.Context) (ending, error) {
	end := ending{count: tally{}, callbacks: map[tasks.CallbackState]int64{}}
	for begin := 0; begin < len(f.jobs); begin += windowSize {
		var window []*followed
		for i := begin; i < min(begin+windowSize, len(f.jobs)); i++ {
			window = append(window, &f.jobs[i])
		}
		err := f.look(ctx, window, func(j *followed, found ledger.Found) {
			j.state = standing(found)
			end.count[j.state]++
			end.callbacks[found.Record.Callback.State]++
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
		lines = append(lines, countLine{e.count[s], ended(s)})
	}
	printCounts(w, lines)
	e.printWithout(w, files)
	if told := e.callbacksText(); told != "" {
		fmt.Fprintf(w, "\nCallbacks: %s\n", told)
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
