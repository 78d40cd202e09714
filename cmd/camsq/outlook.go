package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/camsq/camsq/tasks"
)

// prospect is what an account's pace promises.
type prospect struct {
	laneFacts
	// others counts the account's jobs that go further by themselves besides those in
	// question.
	others int64
	// idle says that no worker is running, settle is how long a lost answer is looked for.
	idle   bool
	settle time.Duration
}

// prospect is that of an account for so many of its open jobs.
func (n *model) prospect(ctx context.Context, account string, jobs int64) (prospect, error) {
	facts, err := n.laneFacts(ctx, account)
	if err != nil {
		return prospect{}, err
	}
	open, err := n.ledger.CountUnfinished(ctx, account)
	return prospect{facts, max(0, open-jobs), n.noWorker(ctx), n.config.SettleWindow}, err
}

// rest is how long the jobs in question need: at least, and at most if the account's
// others go first. ok is false if something holds the account back, or nobody works.
func (p prospect) rest(open int64) (least, most time.Duration, ok bool) {
	if p.idle || p.Pause != nil || p.Trip != nil || p.Quota.Rate <= 0 {
		return 0, 0, false
	}
	return lasting(open, p.Quota.Rate), lasting(open+p.others, p.Quota.Rate), true
}

// lasting is how long so many jobs take at so many a second.
func lasting(jobs int64, perSecond float64) time.Duration {
	return time.Duration(float64(jobs) / perSecond * float64(time.Second))
}

// toGo says what is to be expected of jobs that are open, or why that is unknown. It
// begins with what separates it from what stands before.
func (p prospect) toGo(jobs tally) string {
	least, most, ok := p.rest(unsettled(jobs))
	switch {
	case p.idle:
		return ": no worker is running for account " + p.Account
	case onlyUncertain(jobs) && !p.looksHeld():
		return ": " + p.lookingFor()
	case !ok:
		return ", time unknown: " + p.unknown()
	}
	rest := between(least, most)
	if rest == span(least) && least >= time.Second {
		rest = "at least " + rest
	}
	return fmt.Sprintf(": %s at %s", rest, p.pace())
}

// lookingFor tells what goes on while nothing but lost answers is open.
func (p prospect) lookingFor() string {
	return "answers were lost and are being looked for, for up to " + span(p.settle)
}

// onlyUncertain says whether of the open jobs each waits for a lost answer.
func onlyUncertain(t tally) bool { return unsettled(t) > 0 && unsettled(t) == t[tasks.StateUncertain] }

// between is "12 min", or "12 min to 3 h" if the two are not about the same.
func between(least, most time.Duration) string {
	if most < least+least/5+time.Second {
		return span(least)
	}
	return span(least) + " to " + span(most)
}

// unsettled counts the jobs of a tally that go further by themselves.
func unsettled(t tally) int64 { return t.sum() - t.done() }

const (
	// askEvery is the time between two looks at the lanes, mostLanes how many of them
	// are looked at: those with the most open jobs, which are done last.
	askEvery  = 5 * time.Second
	mostLanes = 20
	// rateTime is what the rate is measured over, rateLeast the least.
	rateTime, rateLeast = time.Minute, 5 * time.Second
	// rateJobs is how many jobs should have ended before the rate is reckoned with.
	rateJobs = 5
)

// outlook tells how fast followed jobs end, what holds them back, and when the rest
// will have ended. That of nobody says nothing.
type outlook struct {
	ask   func(ctx context.Context, account string, jobs int64) (prospect, error)
	asked time.Time
	// lanes are the accounts that have open jobs, of those that were looked at.
	lanes map[string]prospect
	// told is what holds back each account, as it was told last.
	told map[string]string
	jobs map[string]tally
	past []sample
}

// sample is how many jobs had ended at a time.
type sample struct {
	at   time.Time
	done int64
}

func newOutlook(ask func(context.Context, string, int64) (prospect, error)) *outlook {
	return &outlook{ask: ask, lanes: map[string]prospect{}, told: map[string]string{}}
}

// take takes in where the jobs stand, looks at their lanes if it is time, and
// returns a line for each account that is held back now, or is so no more. A lane
// that cannot be looked at stays as it was.
func (o *outlook) take(ctx context.Context, jobs map[string]tally) (news []string) {
	if o == nil {
		return nil
	}
	o.jobs = jobs
	now := time.Now()
	o.past = append(o.past, sample{now, together(jobs).done()})
	for len(o.past) > 2 && now.Sub(o.past[1].at) >= rateTime {
		o.past = o.past[1:]
	}
	if !o.asked.IsZero() && now.Sub(o.asked) < askEvery {
		return nil
	}
	o.asked = now
	lanes := map[string]prospect{}
	for _, account := range o.open() {
		p, err := o.look(ctx, account)
		if err != nil {
			if old, known := o.lanes[account]; known {
				lanes[account] = old
			}
			continue
		}
		lanes[account] = p
		why := p.hold()
		if why == o.told[account] {
			continue
		}
		o.told[account] = why
		if why == "" {
			news = append(news, fmt.Sprintf("%s: goes on at %s", account, p.pace()))
		}
		for _, hold := range p.holds() {
			news = append(news, account+": "+hold)
		}
	}
	o.lanes = lanes
	return news
}

func (o *outlook) look(ctx context.Context, account string) (prospect, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return o.ask(ctx, account, unsettled(o.jobs[account]))
}

// open are the accounts with open jobs, those with the most first.
func (o *outlook) open() []string {
	var accounts []string
	for account, jobs := range o.jobs {
		if unsettled(jobs) > 0 {
			accounts = append(accounts, account)
		}
	}
	slices.SortFunc(accounts, func(a, b string) int {
		if order := cmp.Compare(unsettled(o.jobs[b]), unsettled(o.jobs[a])); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	return accounts[:min(len(accounts), mostLanes)]
}

// rate is how many jobs a second have ended in the last minute; ok is false while
// that cannot be told.
func (o *outlook) rate() (perSecond float64, ok bool) {
	took := o.measured()
	if took < rateLeast {
		return 0, false
	}
	return float64(o.past[len(o.past)-1].done-o.past[0].done) / took.Seconds(), true
}

// measured is how long the rate has been measured.
func (o *outlook) measured() time.Duration { return o.past[len(o.past)-1].at.Sub(o.past[0].at) }

// held are the accounts that are held back, and all of which that is known.
func (o *outlook) held() (held, known []string) {
	for _, account := range o.open() {
		if p, ok := o.lanes[account]; ok {
			known = append(known, account)
			if p.heldBy() != "" {
				held = append(held, account)
			}
		}
	}
	return held, known
}

// heldBack says whether nothing can happen since every account is held back.
func (o *outlook) heldBack() bool {
	if o == nil {
		return false
	}
	held, known := o.held()
	return len(known) > 0 && len(held) == len(known)
}

// left is when the jobs will have ended that are not held back: "40 s left". slower
// says that they end more slowly than the pace allows, and that this is reckoned with.
func (o *outlook) left() (text string, slower bool) {
	var least, most time.Duration
	var open int64
	pace := 0.0
	for _, account := range o.open() {
		jobs := unsettled(o.jobs[account])
		if l, m, ok := o.lanes[account].rest(jobs); ok {
			least, most = max(least, l), max(most, m)
			open, pace = open+jobs, pace+o.lanes[account].Quota.Rate
		}
	}
	if most == 0 {
		return "", false
	}
	if rate, ok := o.rate(); ok && pace*o.measured().Seconds() >= rateJobs {
		if rate == 0 {
			return "", false // nobody knows
		}
		if as := lasting(open, rate); as > least+least/20+time.Second {
			least, most, slower = as, max(as, most), true
		}
	}
	return between(least, most) + " left", slower
}

// parts are the outlook in pieces, the most important first.
func (o *outlook) parts(rate func(float64) string, pace func(f laneFacts, slower bool) string) []string {
	var parts []string
	held, known := o.held()
	switch {
	case len(known) == 0:
	case len(known) == 1 && len(held) == 1:
		parts = append(parts, o.lanes[known[0]].heldBy())
	case len(held) > 0:
		parts = append(parts, fmt.Sprintf("%d of %d accounts held back", len(held), len(known)))
	}
	switch left, slower := o.left(); {
	case len(known) > 0 && o.lanes[known[0]].idle:
		parts = append(parts, "no worker is running")
	case len(known) > 0 && onlyUncertain(together(o.jobs)) && !o.lanes[known[0]].looksHeld():
		parts = append(parts, o.lanes[known[0]].lookingFor())
	case left != "" && len(known) == 1:
		parts = append(parts, left+pace(o.lanes[known[0]].laneFacts, slower))
	case left != "":
		parts = append(parts, left)
	}
	if r, ok := o.rate(); ok && r > 0 {
		parts = append(parts, rate(r))
	}
	return parts
}

// String is the outlook for a line of text, with what separates it from what stands
// before.
func (o *outlook) String() string {
	if o == nil {
		return ""
	}
	parts := o.parts(func(r float64) string { return perSecond(r) + " ended in the last minute" },
		func(f laneFacts, slower bool) string {
			if slower {
				return ", allowed: " + f.pace()
			}
			return " at " + f.pace()
		})
	if parts == nil {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// short is the outlook for a bar, with what separates it from what stands after.
func (o *outlook) short() string {
	if o == nil {
		return ""
	}
	parts := o.parts(func(r float64) string { return fmt.Sprintf("%.3g/s", r) }, func(f laneFacts, _ bool) string {
		switch {
		case f.lowered():
			return " (throttled)"
		case f.Limit > 0:
			return " (limited)"
		}
		return ""
	})
	if parts == nil {
		return ""
	}
	return strings.Join(parts, ", ") + "; "
}
