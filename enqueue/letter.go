package enqueue

import (
	"fmt"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/tasks"
)

// letter is what create.lua is told of a parcel.
type letter struct {
	keys []string
	args []any
}

// write writes the letter of a parcel.
func (c *Client) write(p *parcel, ch *chunk, share float64) (*letter, error) {
	normal, high := tasks.ProvisionQueue(p.account), tasks.HighQueue(p.account)
	l := &letter{keys: make([]string, 0, 20+2*len(p.jobs)), args: make([]any, 0, 20+2*len(p.jobs))}
	l.keys = append(append(append(l.keys, listKeys(normal)...), listKeys(high)...), ledger.BookKeys(p.account)...)
	moulds, stamp, err := c.moulds(p.jobs, normal, high)
	if err != nil {
		return nil, err
	}
	batches, runs := runsOf(p)
	l.keys = append(l.keys, batches...)
	l.args = append(l.args, tasks.WakeChannel, normal, high, share, ch.try, stamp, !ch.twins, len(moulds)/mouldArgs, len(batches))
	l.args = append(append(l.args, moulds...), runs...)

	insertion := c.ledger.Insertion(p.account)
	hashes := [...]string{taskKey(normal, ""), taskKey(high, "")}
	for _, r := range p.jobs {
		record, sealed, err := insertion(r.Job)
		if err != nil {
			return nil, fmt.Errorf("enqueue: %w", err)
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

// mouldArgs is how many arguments a mould is.
const mouldArgs = 5

// moulds casts a mould for each queue and each length of ID that there is.
func (c *Client) moulds(jobs []*Result, queues ...string) (args []any, stamp string, err error) {
	type shape struct{ queue, length int }
	cast := map[shape]bool{}
	for _, r := range jobs {
		s := shape{queueOf(r.Job), len(r.Job.ID)}
		if cast[s] {
			continue
		}
		cast[s] = true
		m, err := castTask(c.asynq, queues[s.queue], s.length)
		if err != nil {
			return nil, "", err
		}
		args, stamp = append(args, s.queue+1, s.length, m.before, m.between, m.after), m.stamp
	}
	return args, stamp, nil
}

// runsOf tells the priorities and batches of jobs by runs of those that have the same,
// and the keys of the runs' batches.
func runsOf(p *parcel) (batches []string, args []any) {
	begin := 0
	for i, r := range p.jobs {
		if i+1 < len(p.jobs) {
			if next := p.jobs[i+1].Job; next.Priority == r.Job.Priority && next.Batch == r.Job.Batch {
				continue
			}
		}
		batches = append(batches, ledger.BatchKey(p.account, r.Job.Batch))
		args = append(args, i+1-begin, string(r.Job.Priority), r.Job.Batch)
		begin = i + 1
	}
	return batches, args
}
