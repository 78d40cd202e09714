package enqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// chunkSize is how many jobs go to Redis in one step. While Redis takes them, which is
// a millisecond, it answers nobody else.
const chunkSize = 100

// chunk is jobs that go to Redis together, those of each account in one script.
type chunk struct {
	results []Result
	// try names the writing of the chunk. It stays the same however often it is
	// begun anew, so that what was written already is recognised.
	try string
	// twins means that two of the jobs may be the same.
	twins   bool
	checked bool
	parcels []*parcel
}

// parcel is the jobs of a chunk that belong to one account.
type parcel struct {
	account string
	jobs    []*Result
	letter  *letter // is composed anew for each attempt
	settled bool
}

// compose holds the jobs of a chunk to the rules and writes the letters that settle
// the others.
func (c *Client) compose(ch *chunk, share float64) error {
	if !ch.checked {
		c.open(ch)
	}
	for _, p := range ch.parcels {
		if p.settled || p.letter != nil {
			continue
		}
		var err error
		if p.letter, err = c.write(p, ch, share); err != nil {
			return err
		}
	}
	return nil
}

// send settles the results that have no status yet. If it returns an error it may be
// called again: what was written stands and is not written twice. Above that share of
// maxmemory it writes nothing new and returns a [*fullError]; 0 is no limit.
func (c *Client) send(ctx context.Context, ch *chunk, share float64) error {
	if err := c.compose(ch, share); err != nil {
		return err
	}
	var open []*parcel
	for _, p := range ch.parcels {
		if !p.settled {
			open = append(open, p)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	if err := c.prepare(ctx, queuesOf(open)...); err != nil {
		return orFull(open[0].account, err)
	}
	answers, err := c.post(ctx, open)
	for i, answer := range answers {
		if bad := c.settle(ctx, open[i], answer); bad != nil {
			err = bad
			break
		}
	}
	for _, p := range open {
		p.letter = nil // an attempt that comes later has a later time of enqueueing
	}
	return err
}

// open holds the jobs of a chunk to the rules and sorts them by account.
func (c *Client) open(ch *chunk) {
	ch.try, ch.checked = ledger.NewTry(), true
	byAccount := map[string]*parcel{}
	for i := range ch.results {
		r := &ch.results[i]
		if r.Status != "" {
			continue
		}
		if err := r.Job.Validate(c.rules); err != nil {
			r.Status, r.Err = StatusInvalid, err
			continue
		}
		p := byAccount[r.Job.Account]
		if p == nil {
			p = &parcel{account: r.Job.Account}
			byAccount[p.account] = p
			ch.parcels = append(ch.parcels, p)
		}
		p.jobs = append(p.jobs, r)
	}
}

// queuesOf are the queues that the tasks of some parcels go into.
func queuesOf(parcels []*parcel) []string {
	var queues []string
	for _, p := range parcels {
		for _, priority := range []tasks.Priority{tasks.PriorityNormal, tasks.PriorityHigh} {
			if slices.ContainsFunc(p.jobs, func(r *Result) bool { return r.Job.Priority == priority }) {
				queues = append(queues, tasks.JobQueue(p.account, priority))
			}
		}
	}
	return queues
}

// post runs the script for each parcel, all in one round trip. The answers are in
// order; an error ends them.
func (c *Client) post(ctx context.Context, parcels []*parcel) ([][]string, error) {
	cmds := make([]*redis.Cmd, len(parcels))
	// Each command has its own error.
	_, _ = c.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, p := range parcels {
			cmds[i] = c.scripts.create.EvalSha(ctx, pipe, p.letter.keys, p.letter.args...)
		}
		return nil
	})
	var answers [][]string
	for i, cmd := range cmds {
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			cmd = c.scripts.create.Run(ctx, c.rdb, parcels[i].letter.keys, parcels[i].letter.args...)
		}
		answer, err := cmd.StringSlice()
		if err != nil {
			account := parcels[i].account
			return answers, orFull(account, fmt.Errorf("enqueue: writing %d jobs of account %s: %w", len(parcels[i].jobs), account, err))
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// settle reads an answer of create.lua.
func (c *Client) settle(ctx context.Context, p *parcel, answer []string) error {
	if len(answer) == 3 && answer[0] == "full" {
		used, _ := strconv.ParseInt(answer[1], 10, 64)
		most, _ := strconv.ParseInt(answer[2], 10, 64)
		return &fullError{account: p.account, used: used, max: most}
	}
	if len(answer)%2 != 1 || answer[0] != "ok" {
		return errAnswer
	}
	known, others := map[int]standing{}, []*Result{}
	for i := 1; i < len(answer); i += 2 {
		n, err := strconv.Atoi(answer[i])
		if err != nil || n < 1 || n > len(p.jobs) || answer[i+1] == "" {
			return errAnswer
		}
		priority, head, _ := strings.Cut(answer[i+1][1:], " ")
		known[n-1] = standing{ledger.HeadState(head), tasks.Priority(priority)}
		// A head that cannot be read is another version's: its request may mean another
		// thing though its bytes are the same.
		if answer[i+1][0] != '=' || known[n-1].state == "" {
			p.jobs[n-1].State = known[n-1].state
			others = append(others, p.jobs[n-1])
		}
	}
	if err := c.compare(ctx, p.account, others); err != nil {
		return err
	}
	for i, r := range p.jobs {
		v, is := known[i]
		switch {
		case !is:
			r.Status, r.State = StatusQueued, tasks.StateQueued
		case r.Status == "":
			r.Status, r.State, r.Job.Priority = StatusKnown, v.state, v.priority
		}
	}
	p.settled = true
	return nil
}

// standing is what create.lua tells of a job that is there.
type standing struct {
	state    tasks.State
	priority tasks.Priority
}

var errAnswer = errors.New("enqueue: the script has answered something that it does not answer")

// compare settles jobs whose sealed requests differ from those of the records:
// sealed with an older data key, the same request has other bytes.
func (c *Client) compare(ctx context.Context, account string, rs []*Result) error {
	found, err := c.records(ctx, account, rs)
	if err != nil {
		return fmt.Errorf("enqueue: comparing with the jobs that are there: %w", err)
	}
	for i, r := range rs {
		r.compare(found[i])
	}
	return nil
}
