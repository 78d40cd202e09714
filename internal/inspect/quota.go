package inspect

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/camsq/camsq/internal/config"
	"github.com/camsq/camsq/internal/humanize"
	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// LaneState are what an account's pace and its jobs' waiting come from.
type LaneState struct {
	tasks.Lane
	Quota ratelimit.State
	// Configured is the account's rate in the settings of this process; 0 if they do
	// not name it.
	Configured float64
	// Host is the API's, as the settings of this process name it; "" if they do not.
	Host string
	// far says that more jobs than were counted come before the one in question.
	moreBefore bool
}

func (m *Model) lane(ctx context.Context, account string) (tasks.Lane, error) {
	lanes, errs := m.Ledger.Lanes(ctx, []string{account})
	if errs != nil {
		return tasks.Lane{}, errs[0]
	}
	return lanes[0], nil
}

// LaneState reads how an account is paced and what blocks it.
func (m *Model) LaneState(ctx context.Context, account string) (LaneState, error) {
	lane, err := m.lane(ctx, account)
	if err != nil {
		return LaneState{}, err
	}
	f := LaneState{Lane: lane}
	for _, a := range m.Config.Accounts {
		if a.Name == account {
			f.Configured, f.Host = a.Rate, a.APIHost()
		}
	}
	limit := ratelimit.Limit{Rate: worker.Pace(f.Rate())}
	f.Quota, err = ratelimit.New(m.Redis, ratelimit.Config{}).Bucket(ledger.LimitKey(account, worker.ActionCreate), limit).State(ctx)
	if f.Quota.Rate == 0 {
		f.Quota.Rate = limit.Rate
	}
	return f, err
}

// Rate is what the account may create a second when nothing was throttled lately.
func (f LaneState) Rate() float64 {
	switch {
	case f.Limit > 0:
		return f.Limit
	case f.Configured > 0:
		return f.Configured
	}
	return config.DefaultRate
}

// Lowered says whether the workers go slower than they may, since the API throttled.
func (f LaneState) Lowered() bool { return f.Quota.Rate < 0.995*worker.Pace(f.Rate()) }

// Pace describes the rate in force, and why it is what it is.
func (f LaneState) Pace() string {
	text := humanize.PerSecond(f.Quota.Rate)
	switch {
	case f.Lowered() && !f.Quota.ThrottledAt.IsZero():
		return fmt.Sprintf("%s (lowered, since the API throttled %s ago)", text, humanize.Duration(f.Quota.Now.Sub(f.Quota.ThrottledAt)))
	case f.Lowered():
		return text + " (lowered, since the API throttled)"
	case f.Limit > 0:
		return text + " (limited by an operator)"
	}
	return text
}

// queuedNote says in one sentence why a queued job waits. before is how many jobs of
// its priority come before it, or -1 if it does not stand in the queue.
func (f LaneState) queuedNote(r tasks.Record, before int64) string {
	rank, come := "", humanize.Counted(before, highJob(r), "comes", "come")
	if f.moreBefore {
		come = "more than " + come
	}
	if before > 0 {
		rank = fmt.Sprintf("; %s before it", come)
	}
	switch {
	case f.Pause != nil:
		return fmt.Sprintf("It waits because account %s was paused %s ago%s (camsq resume %s)%s.",
			f.Account, humanize.Duration(f.Now.Sub(f.Pause.Since)), humanize.Because(f.Pause.Why), f.Account, rank)
	case f.Away():
		return fmt.Sprintf("It waits because account %s %s; %s%s.", f.Account, f.AwayNote(), f.nextProbe(), rank)
	case f.Trip != nil:
		return fmt.Sprintf("It waits because the API has refused account %s for %s (%s); %s%s.",
			f.Account, humanize.Duration(f.Now.Sub(f.Trip.Since)), humanize.Sanitize(f.Trip.Code), f.nextProbe(), rank)
	case r.Wait() > 0:
		after := ""
		if r.Code != "" {
			after = " after " + r.Code
		}
		return fmt.Sprintf("It waits %s more%s, then it is called at the account's pace, %s.", humanize.Duration(r.Wait()), after, f.Pace())
	case before > 0:
		about := "some"
		if f.moreBefore {
			about = "more than"
		}
		return fmt.Sprintf("It waits in the queue: %s before it, %s %s at %s.", come, about, humanize.Duration(time.Duration(float64(before)/f.Quota.Rate*float64(time.Second))), f.Pace())
	case before == 0:
		return fmt.Sprintf("It is the next to be taken: the account's next slot comes %s, at %s.", f.nextSlot(), f.Pace())
	}
	return fmt.Sprintf("A worker has it, or is about to: the account's next slot comes %s, at %s.", f.nextSlot(), f.Pace())
}

func highJob(r tasks.Record) string {
	if r.Priority == tasks.PriorityHigh {
		return "high-priority job"
	}
	return "job"
}

func (f LaneState) nextSlot() string {
	wait := f.Quota.Next.Sub(f.Quota.Now)
	if wait <= 0 {
		return "now"
	}
	if f.Quota.BlockedUntil.After(f.Quota.Now) {
		return "in " + humanize.Duration(wait) + ", when the pause that the API asked for is over"
	}
	return "in " + humanize.Duration(wait)
}

// laneStatus is how an account is paced and held back. Its JSON is public.
type laneStatus struct {
	// RatePerSecond is the pace in force, CeilingPerSecond what it may be at most,
	// LimitPerSecond the operator's limit (0: none).
	RatePerSecond    float64       `json:"rate_per_second"`
	CeilingPerSecond float64       `json:"ceiling_per_second"`
	LimitPerSecond   float64       `json:"limit_per_second"`
	ThrottledAt      time.Time     `json:"throttled_at,omitzero"`
	Paused           *pauseStatus  `json:"paused,omitempty"`
	Refused          *refuseStatus `json:"refused,omitempty"`
	Away             *awayStatus   `json:"away,omitempty"`
}

type pauseStatus struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

func (f LaneState) status() laneStatus {
	s := laneStatus{
		RatePerSecond: f.Quota.Rate, CeilingPerSecond: worker.Pace(f.Rate()), LimitPerSecond: f.Limit,
		ThrottledAt: f.Quota.ThrottledAt,
	}
	if p := f.Pause; p != nil {
		s.Paused = &pauseStatus{Since: p.Since.UTC(), Why: p.Why}
	}
	if t := f.Trip; f.Away() {
		s.Away = &awayStatus{
			Since: t.Since.UTC(), Host: f.Host, Action: t.Action, Code: t.Code, Message: t.Message, Failures: t.Probes, NextProbe: t.ProbeAt.UTC(),
		}
	} else if t != nil {
		s.Refused = &refuseStatus{
			Since: t.Since.UTC(), Action: t.Action, Code: t.Code, Message: t.Message, Refusals: t.Probes, NextProbe: t.ProbeAt.UTC(),
		}
	}
	return s
}

// Notes are what an operator should know about the lane.
func (f LaneState) Notes() []string {
	out := f.BlockReasons()
	if f.Lowered() || f.Limit > 0 {
		out = append(out, "goes at "+f.Pace())
	}
	return out
}

// BlockReasons are why the lane makes no new call, if it does not.
func (f LaneState) BlockReasons() []string {
	var out []string
	if p := f.Pause; p != nil {
		out = append(out, fmt.Sprintf("paused for %s%s; camsq resume %s lets it go on", humanize.Duration(f.Now.Sub(p.Since)), humanize.Because(p.Why), f.Account))
	}
	if t := f.Trip; f.Away() {
		out = append(out, fmt.Sprintf("%s; %s; camsq resume %s tries it at once", f.AwayNote(), f.nextProbe(), f.Account))
	} else if t != nil {
		out = append(out, fmt.Sprintf("the API has refused %s for %s (%s: %s), %s; %s; camsq resume %s tries it at once",
			t.Action, humanize.Duration(f.Now.Sub(t.Since)), humanize.Sanitize(t.Code), humanize.Clip(humanize.Sanitize(t.Message), 160), humanize.Plural(int64(t.Probes), "call"), f.nextProbe(), f.Account))
	}
	return out
}

// DesiredWorkers is how many processes the account can keep busy: as many turns at
// once as its rate starts in the time of one, or as there are jobs, in processes of
// so many turns each. An account that is held back needs one process, to notice
// when it no longer is; one without jobs needs none.
func (f LaneState) DesiredWorkers(queued int64, turn time.Duration, concurrency int) int {
	if queued == 0 {
		return 0
	}
	if f.Pause != nil || f.Trip != nil {
		return 1
	}
	turns := math.Min(float64(queued), f.Quota.Rate*turn.Seconds())
	return max(int(math.Ceil(turns/float64(max(concurrency, 1)))), 1)
}
