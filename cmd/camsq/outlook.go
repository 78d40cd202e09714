package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// prospect is what an account's pace promises.
type prospect struct {
	laneFacts
	// others counts the account's jobs that go further by themselves besides those in
	// question.
	others int64
}

// prospect is that of an account for so many of its open jobs.
func (n *node) prospect(ctx context.Context, account string, jobs int64) (prospect, error) {
	facts, err := n.laneFacts(ctx, account)
	if err != nil {
		return prospect{}, err
	}
	open, err := n.ledger.CountUnfinished(ctx, account)
	return prospect{facts, max(0, open-jobs)}, err
}

// rest is how long the jobs in question need: at least, and at most if the account's
// others go first. ok is false if something holds the account back.
func (p prospect) rest(open int64) (least, most time.Duration, ok bool) {
	if p.Pause != nil || p.Trip != nil || p.Quota.Rate <= 0 {
		return 0, 0, false
	}
	seconds := func(n int64) time.Duration { return time.Duration(float64(n) / p.Quota.Rate * float64(time.Second)) }
	return seconds(open), seconds(open + p.others), true
}

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
		why := p.heldBy()
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
	first, last := o.past[0], o.past[len(o.past)-1]
	took := last.at.Sub(first.at)
	if took < rateLeast {
		return 0, false
	}
	return float64(last.done-first.done) / took.Seconds(), true
}

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

// left is when the jobs will have ended that are not held back: "40 s left".
func (o *outlook) left() string {
	var least, most time.Duration
	for _, account := range o.open() {
		if l, m, ok := o.lanes[account].rest(unsettled(o.jobs[account])); ok {
			least, most = max(least, l), max(most, m)
		}
	}
	if most == 0 {
		return ""
	}
	return between(least, most) + " left"
}

// parts are the outlook in pieces, the most important first.
func (o *outlook) parts(rate func(float64) string, pace func(laneFacts) string) []string {
	var parts []string
	held, known := o.held()
	switch {
	case len(known) == 0:
	case len(known) == 1 && len(held) == 1:
		parts = append(parts, o.lanes[known[0]].heldBy())
	case len(held) > 0:
		parts = append(parts, fmt.Sprintf("%d of %d accounts held back", len(held), len(known)))
	}
	if left := o.left(); left != "" {
		if len(known) == 1 {
			left += pace(o.lanes[known[0]].laneFacts)
		}
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
		func(f laneFacts) string { return " at " + f.pace() })
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
	parts := o.parts(func(r float64) string { return fmt.Sprintf("%.3g/s", r) }, func(f laneFacts) string {
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

// heldBy is in a word or two what stops an account's calls, or "".
func (f laneFacts) heldBy() string {
	switch {
	case f.Pause != nil:
		return "paused"
	case f.Trip != nil:
		return "refused (" + plain(f.Trip.Code) + ")"
	}
	return ""
}
