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
		l, err := c.letter(p, ch, share)
		if err != nil {
			return err
		}
		p.letter = &l
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
	answers, err := c.write(ctx, open)
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

func queuesOf(parcels []*parcel) []string {
	var queues []string
	for _, p := range parcels {
		for _, r := range p.jobs {
			if queue := tasks.JobQueue(p.account, r.Job.Priority); !slices.Contains(queues, queue) {
				queues = append(queues, queue)
			}
		}
	}
	return queues
}

// write runs the script for each parcel, all in one round trip. The answers are in
// order; an error ends them.
func (c *Client) write(ctx context.Context, parcels []*parcel) ([][]string, error) {
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

// letter is what create.lua is told.
type letter struct {
	keys []string
	args []any
}

func (c *Client) letter(p *parcel, ch *chunk, share float64) (letter, error) {
	normal, high := tasks.ProvisionQueue(p.account), tasks.HighQueue(p.account)
	queues := [...]string{normal, high}
	l := letter{keys: make([]string, 0, 17+3*len(p.jobs)), args: make([]any, 0, 32+2*len(p.jobs))}
	l.keys = append(l.keys, listKeys(normal)...)
	l.keys = append(l.keys, listKeys(high)...)
	l.keys = append(l.keys, ledger.BookKeys(p.account)...)

	var moulds, runs []any
	var stamp string
	type shape struct{ queue, length int }
	cast := map[shape]bool{}
	begin := 0
	for i, r := range p.jobs {
		s := shape{queueOf(r.Job), len(r.Job.ID)}
		if !cast[s] {
			m, err := castTask(c.asynq, queues[s.queue], s.length)
			if err != nil {
				return letter{}, err
			}
			moulds, stamp = append(moulds, s.queue+1, s.length, m.before, m.between, m.after), m.stamp
			cast[s] = true
		}
		if i+1 == len(p.jobs) || p.jobs[i+1].Job.Priority != r.Job.Priority || p.jobs[i+1].Job.Batch != r.Job.Batch {
			l.keys = append(l.keys, ledger.BatchKey(p.account, r.Job.Batch))
			runs = append(runs, i+1-begin, string(r.Job.Priority), r.Job.Batch)
			begin = i + 1
		}
	}
	l.args = append(l.args, tasks.WakeChannel, normal, high, share, ch.try, stamp, !ch.twins, len(moulds)/5, len(runs)/3)
	l.args = append(append(l.args, moulds...), runs...)
	insertion := c.ledger.Insertion(p.account)
	hashes := [...]string{taskKey(normal, ""), taskKey(high, "")}
	for _, r := range p.jobs {
		record, sealed, err := insertion(r.Job)
		if err != nil {
			return letter{}, fmt.Errorf("enqueue: %w", err)
		}
		l.keys = append(l.keys, record, hashes[queueOf(r.Job)]+r.Job.ID)
		l.args = append(l.args, r.Job.ID, sealed)
	}
	return l, nil
}

// queueOf is 0 for a job of the normal queue and 1 for one of the high one.
func queueOf(j tasks.Job) int {
	if j.Priority == tasks.PriorityHigh {
		return 1
	}
	return 0
}

// settle reads an answer of create.lua.
func (c *Client) settle(ctx context.Context, p *parcel, answer []string) error {
	if len(answer) == 3 && answer[0] == "full" {
		used, _ := strconv.ParseInt(answer[1], 10, 64)
		most, _ := strconv.ParseInt(answer[2], 10, 64)
		return &fullError{account: p.account, used: used, max: most}
	}
	type verdict struct {
		state    tasks.State
		priority tasks.Priority
	}
	known, others := map[int]verdict{}, []*Result{}
	if len(answer)%2 != 1 || answer[0] != "ok" {
		return errAnswer
	}
	for i := 1; i < len(answer); i += 2 {
		n, err := strconv.Atoi(answer[i])
		if err != nil || n < 1 || n > len(p.jobs) || answer[i+1] == "" {
			return errAnswer
		}
		priority, head, _ := strings.Cut(answer[i+1][1:], " ")
		known[n-1] = verdict{ledger.HeadState(head), tasks.Priority(priority)}
		if answer[i+1][0] != '=' {
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

var errAnswer = errors.New("enqueue: the script has answered something that it does not answer")

// compare settles jobs whose sealed requests differ from those of the records:
// sealed with an older data key, the same request has other bytes.
func (c *Client) compare(ctx context.Context, account string, rs []*Result) error {
	ids := make([]string, len(rs))
	for i, r := range rs {
		ids[i] = r.Job.ID
	}
	found, err := c.ledger.GetMany(ctx, account, ids)
	if err != nil {
		return fmt.Errorf("enqueue: comparing with the jobs that are there: %w", err)
	}
	for i, r := range rs {
		if found[i].Err == nil && ledger.SameRequest(found[i].Record, r.Job) {
			r.Status, r.Job.Priority = StatusKnown, found[i].Record.Priority
			continue
		}
		r.Status, r.Err = StatusConflict, &ConflictError{Ref: r.Job.Ref(), State: r.State, Err: found[i].Err}
	}
	return nil
}
