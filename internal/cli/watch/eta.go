package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/inspect"
)

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

// eta reports how fast followed jobs end, what holds them back, and when the rest
// will have ended. A nil ETA prints nothing.
type eta struct {
	ask   func(ctx context.Context, account string, jobs int64) (inspect.Forecast, error)
	asked time.Time
	// lanes are the accounts that have open jobs, of those that were looked at.
	lanes map[string]inspect.Forecast
	// announced is what blocks each account, as it was announced last.
	announced map[string]string
	jobs      map[string]inspect.StateCounts
	past      []sample
}

// sample is how many jobs had ended at a time.
type sample struct {
	at   time.Time
	done int64
}

func newETA(ask func(context.Context, string, int64) (inspect.Forecast, error)) *eta {
	return &eta{ask: ask, lanes: map[string]inspect.Forecast{}, announced: map[string]string{}}
}

// update takes in where the jobs stand, looks at their lanes if it is time, and
// returns a line for each account that is held back now, or is so no more. A lane
// that cannot be looked at stays as it was.
func (o *eta) update(ctx context.Context, jobs map[string]inspect.StateCounts) (news []string) {
	if o == nil {
		return nil
	}
	o.jobs = jobs
	now := time.Now()
	o.past = append(o.past, sample{now, inspect.Total(jobs).Ended()})
	for len(o.past) > 2 && now.Sub(o.past[1].at) >= rateTime {
		o.past = o.past[1:]
	}
	if !o.asked.IsZero() && now.Sub(o.asked) < askEvery {
		return nil
	}
	o.asked = now
	lanes := map[string]inspect.Forecast{}
	for _, account := range o.open() {
		p, err := o.poll(ctx, account)
		if err != nil {
			if old, known := o.lanes[account]; known {
				lanes[account] = old
			}
			continue
		}
		lanes[account] = p
		why := p.BlockReason()
		if why == o.announced[account] {
			continue
		}
		o.announced[account] = why
		if why == "" {
			news = append(news, fmt.Sprintf("%s: goes on at %s", account, p.Pace()))
		}
		for _, reason := range p.BlockReasons() {
			news = append(news, account+": "+reason)
		}
	}
	o.lanes = lanes
	return news
}

func (o *eta) poll(ctx context.Context, account string) (inspect.Forecast, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	return o.ask(ctx, account, inspect.OpenJobs(o.jobs[account]))
}

// open are the accounts with open jobs, those with the most first.
func (o *eta) open() []string {
	var accounts []string
	for account, jobs := range o.jobs {
		if inspect.OpenJobs(jobs) > 0 {
			accounts = append(accounts, account)
		}
	}
	slices.SortFunc(accounts, func(a, b string) int {
		if order := cmp.Compare(inspect.OpenJobs(o.jobs[b]), inspect.OpenJobs(o.jobs[a])); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	return accounts[:min(len(accounts), mostLanes)]
}

// rate is how many jobs a second have ended in the last minute; ok is false while
// that cannot be told.
func (o *eta) rate() (perSecond float64, ok bool) {
	took := o.measured()
	if took < rateLeast {
		return 0, false
	}
	return float64(o.past[len(o.past)-1].done-o.past[0].done) / took.Seconds(), true
}

// measured is how long the rate has been measured.
func (o *eta) measured() time.Duration { return o.past[len(o.past)-1].at.Sub(o.past[0].at) }

// blocked returns the accounts that are blocked, and all of which that is known.
func (o *eta) blocked() (blocked, known []string) {
	for _, account := range o.open() {
		if p, ok := o.lanes[account]; ok {
			known = append(known, account)
			if p.BlockedBy() != "" {
				blocked = append(blocked, account)
			}
		}
	}
	return blocked, known
}

// allBlocked says whether nothing can happen since every account is blocked.
func (o *eta) allBlocked() bool {
	if o == nil {
		return false
	}
	blocked, known := o.blocked()
	return len(known) > 0 && len(blocked) == len(known)
}

// remaining is when the jobs will have ended that are not blocked: "40 s left". slower
// says that they end more slowly than the pace allows, and that this is reckoned with.
func (o *eta) remaining() (text string, slower bool) {
	var least, most time.Duration
	var open int64
	pace := 0.0
	for _, account := range o.open() {
		jobs := inspect.OpenJobs(o.jobs[account])
		if l, m, ok := o.lanes[account].Remaining(jobs); ok {
			least, most = max(least, l), max(most, m)
			open, pace = open+jobs, pace+o.lanes[account].Quota.Rate
		}
	}
	if most == 0 {
		return "", false
	}
	if rate, ok := o.rate(); ok && pace*o.measured().Seconds() >= rateJobs {
		if rate == 0 {
			return "", false // unknown
		}
		if as := inspect.TimeFor(open, rate); as > least+least/20+time.Second {
			least, most, slower = as, max(as, most), true
		}
	}
	return inspect.Between(least, most) + " left", slower
}

// parts are the outlook in pieces, the most important first.
func (o *eta) parts(rate func(float64) string, pace func(f inspect.LaneState, slower bool) string) []string {
	var parts []string
	blocked, known := o.blocked()
	switch {
	case len(known) == 0:
	case len(known) == 1 && len(blocked) == 1:
		parts = append(parts, o.lanes[known[0]].BlockedBy())
	case len(blocked) > 0:
		parts = append(parts, fmt.Sprintf("%d of %d accounts held back", len(blocked), len(known)))
	}
	switch remaining, slower := o.remaining(); {
	case len(known) > 0 && o.lanes[known[0]].NoWorker:
		parts = append(parts, "no worker is running")
	case len(known) > 0 && inspect.OnlyUncertain(inspect.Total(o.jobs)) && !o.lanes[known[0]].LookupsBlocked():
		parts = append(parts, o.lanes[known[0]].LookupNote())
	case remaining != "" && len(known) == 1:
		parts = append(parts, remaining+pace(o.lanes[known[0]].LaneState, slower))
	case remaining != "":
		parts = append(parts, remaining)
	}
	if r, ok := o.rate(); ok && r > 0 {
		parts = append(parts, rate(r))
	}
	return parts
}

// String is the outlook for a line of text, with what separates it from what stands
// before.
func (o *eta) String() string {
	if o == nil {
		return ""
	}
	parts := o.parts(func(r float64) string { return humanize.PerSecond(r) + " ended in the last minute" },
		func(f inspect.LaneState, slower bool) string {
			if slower {
				return ", allowed: " + f.Pace()
			}
			return " at " + f.Pace()
		})
	if parts == nil {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// short is the outlook for a bar, with what separates it from what stands after.
func (o *eta) short() string {
	if o == nil {
		return ""
	}
	parts := o.parts(func(r float64) string { return fmt.Sprintf("%.3g/s", r) }, func(f inspect.LaneState, _ bool) string {
		switch {
		case f.Lowered():
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
