package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/tasks"
)

// Forecast is what an account's pace promises.
type Forecast struct {
	LaneState
	// others counts the account's jobs that go further by themselves besides those in
	// question.
	Others int64
	// idle says that no worker is running, settle is how long a lost answer is looked for.
	NoWorker bool
	Settle   time.Duration
}

// Prospect is that of an account for so many of its open jobs.
func (m *Model) Prospect(ctx context.Context, account string, jobs int64) (Forecast, error) {
	facts, err := m.LaneState(ctx, account)
	if err != nil {
		return Forecast{}, err
	}
	open, err := m.Ledger.CountUnfinished(ctx, account)
	return Forecast{facts, max(0, open-jobs), m.noWorker(ctx), m.Config.SettleWindow}, err
}

// Remaining is how long the jobs in question need: at least, and at most if the account's
// others go first. ok is false if the account is blocked, or no worker is running.
func (p Forecast) Remaining(open int64) (least, most time.Duration, ok bool) {
	if p.NoWorker || p.Pause != nil || p.Trip != nil || p.Quota.Rate <= 0 {
		return 0, 0, false
	}
	return TimeFor(open, p.Quota.Rate), TimeFor(open+p.Others, p.Quota.Rate), true
}

// TimeFor is how long so many jobs take at so many a second.
func TimeFor(jobs int64, perSecond float64) time.Duration {
	return time.Duration(float64(jobs) / perSecond * float64(time.Second))
}

// Describe says what is to be expected of jobs that are open, or why that is unknown. It
// begins with what separates it from what stands before.
func (p Forecast) Describe(jobs StateCounts) string {
	least, most, ok := p.Remaining(OpenJobs(jobs))
	switch {
	case p.NoWorker:
		return ": no worker is running for account " + p.Account
	case OnlyUncertain(jobs) && !p.LookupsBlocked():
		return ": " + p.LookupNote()
	case !ok:
		return ", time unknown: " + p.unknown()
	}
	rest := Between(least, most)
	if rest == humanize.Duration(least) && least >= time.Second {
		rest = "at least " + rest
	}
	return fmt.Sprintf(": %s at %s", rest, p.Pace())
}

// LookupNote says what happens while nothing but lost answers is open.
func (p Forecast) LookupNote() string {
	return "answers were lost; their outcomes are looked up for up to " + humanize.Duration(p.Settle)
}

// OnlyUncertain says whether of the open jobs each waits for a lost answer.
func OnlyUncertain(t StateCounts) bool {
	return OpenJobs(t) > 0 && OpenJobs(t) == t[tasks.StateUncertain]
}

// Between is "12 min", or "12 min to 3 h" if the two are not about the same.
func Between(least, most time.Duration) string {
	if most < least+least/5+time.Second {
		return humanize.Duration(least)
	}
	return humanize.Duration(least) + " to " + humanize.Duration(most)
}

// OpenJobs counts the jobs of a tally that go further by themselves.
func OpenJobs(t StateCounts) int64 { return t.Sum() - t.Ended() }
