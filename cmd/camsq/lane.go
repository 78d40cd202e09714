package main

import (
	"context"
	"fmt"
	"time"

	"github.com/camsq/camsq/internal/ledger"
	"github.com/camsq/camsq/internal/ratelimit"
	"github.com/camsq/camsq/tasks"
	"github.com/camsq/camsq/worker"
)

// laneFacts are what an account's pace and its jobs' waiting come from.
type laneFacts struct {
	tasks.Lane
	Quota ratelimit.State
	// Configured is the account's rate in the settings of this process; 0 if they do
	// not name it.
	Configured float64
	// Host is the API's, as the settings of this process name it; "" if they do not.
	Host string
	// far says that more jobs than were counted come before the one in question.
	far bool
}

func (n *model) lane(ctx context.Context, account string) (tasks.Lane, error) {
	lanes, errs := n.ledger.Lanes(ctx, []string{account})
	if errs != nil {
		return tasks.Lane{}, errs[0]
	}
	return lanes[0], nil
}

func (n *model) laneFacts(ctx context.Context, account string) (laneFacts, error) {
	lane, err := n.lane(ctx, account)
	if err != nil {
		return laneFacts{}, err
	}
	f := laneFacts{Lane: lane}
	for _, a := range n.config.Accounts {
		if a.Name == account {
			f.Configured, f.Host = a.Rate, a.apiHost()
		}
	}
	limit := ratelimit.Limit{Rate: worker.Pace(f.rate())}
	f.Quota, err = ratelimit.New(n.rdb, ratelimit.Config{}).Bucket(ledger.LimitKey(account, worker.ActionCreate), limit).State(ctx)
	if f.Quota.Rate == 0 {
		f.Quota.Rate = limit.Rate
	}
	return f, err
}

// rate is what the account may create a second when nothing was throttled lately.
func (f laneFacts) rate() float64 {
	switch {
	case f.Limit > 0:
		return f.Limit
	case f.Configured > 0:
		return f.Configured
	}
	return defaultRate
}

// lowered says whether the workers go slower than they may, since the API throttled.
func (f laneFacts) lowered() bool { return f.Quota.Rate < 0.995*worker.Pace(f.rate()) }

// pace tells the rate in force, and why it is what it is.
func (f laneFacts) pace() string {
	text := perSecond(f.Quota.Rate)
	switch {
	case f.lowered() && !f.Quota.ThrottledAt.IsZero():
		return fmt.Sprintf("%s (lowered, since the API throttled %s ago)", text, span(f.Quota.Now.Sub(f.Quota.ThrottledAt)))
	case f.lowered():
		return text + " (lowered, since the API throttled)"
	case f.Limit > 0:
		return text + " (as a person has limited it)"
	}
	return text
}

// waits says in one sentence why a queued job waits. before is how many jobs of
// its priority come before it, or -1 if it does not stand in the queue.
func (f laneFacts) waits(r tasks.Record, before int64) string {
	rank, come := "", verb(before, highJob(r), "comes", "come")
	if f.far {
		come = "more than " + come
	}
	if before > 0 {
		rank = fmt.Sprintf("; %s before it", come)
	}
	switch {
	case f.Pause != nil:
		return fmt.Sprintf("It waits because somebody paused account %s %s ago%s (camsq resume %s)%s.",
			f.Account, span(f.Now.Sub(f.Pause.Since)), because(f.Pause.Why), f.Account, rank)
	case f.away():
		return fmt.Sprintf("It waits because account %s %s; %s%s.", f.Account, f.absence(), f.nextProbe(), rank)
	case f.Trip != nil:
		return fmt.Sprintf("It waits because the API has refused account %s for %s (%s); %s%s.",
			f.Account, span(f.Now.Sub(f.Trip.Since)), plain(f.Trip.Code), f.nextProbe(), rank)
	case r.Wait() > 0:
		after := ""
		if r.Code != "" {
			after = " after " + r.Code
		}
		return fmt.Sprintf("It waits %s more%s, then takes its turn at %s.", span(r.Wait()), after, f.pace())
	case before > 0:
		about := "some"
		if f.far {
			about = "more than"
		}
		return fmt.Sprintf("It waits for its turn: %s before it, %s %s at %s.", come, about, span(time.Duration(float64(before)/f.Quota.Rate*float64(time.Second))), f.pace())
	case before == 0:
		return fmt.Sprintf("It is the next to be taken: the account's next slot comes %s, at %s.", f.nextSlot(), f.pace())
	}
	return fmt.Sprintf("A worker has it, or is about to: the account's next slot comes %s, at %s.", f.nextSlot(), f.pace())
}

// because is a person's reason, behind what it is the reason of.
func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + plain(why)
}

func highJob(r tasks.Record) string {
	if r.Priority == tasks.PriorityHigh {
		return "high-priority job"
	}
	return "job"
}

func (f laneFacts) nextSlot() string {
	wait := f.Quota.Next.Sub(f.Quota.Now)
	if wait <= 0 {
		return "now"
	}
	if f.Quota.BlockedUntil.After(f.Quota.Now) {
		return "in " + span(wait) + ", when the pause that the API asked for is over"
	}
	return "in " + span(wait)
}

// verb is "1 job comes" or "2 jobs come".
func verb(n int64, one, does, do string) string {
	if n == 1 {
		return plural(n, one) + " " + does
	}
	return plural(n, one) + " " + do
}

// laneStatus is how an account is paced and held back. Its JSON is public.
type laneStatus struct {
	// RatePerSecond is the pace in force, CeilingPerSecond what it may be at most,
	// LimitPerSecond what a person has set (0: nobody has).
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

func (f laneFacts) status() laneStatus {
	s := laneStatus{
		RatePerSecond: f.Quota.Rate, CeilingPerSecond: worker.Pace(f.rate()), LimitPerSecond: f.Limit,
		ThrottledAt: f.Quota.ThrottledAt,
	}
	if p := f.Pause; p != nil {
		s.Paused = &pauseStatus{Since: p.Since.UTC(), Why: p.Why}
	}
	if t := f.Trip; f.away() {
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

// notes are what a person should know of the lane.
func (f laneFacts) notes() []string {
	out := f.holds()
	if f.lowered() || f.Limit > 0 {
		out = append(out, "goes at "+f.pace())
	}
	return out
}

// holds are why the lane makes no new call, if it does not.
func (f laneFacts) holds() []string {
	var out []string
	if p := f.Pause; p != nil {
		out = append(out, fmt.Sprintf("paused for %s%s; camsq resume %s lets it go on", span(f.Now.Sub(p.Since)), because(p.Why), f.Account))
	}
	if t := f.Trip; f.away() {
		out = append(out, fmt.Sprintf("%s; %s; camsq resume %s tries it at once", f.absence(), f.nextProbe(), f.Account))
	} else if t != nil {
		out = append(out, fmt.Sprintf("the API has refused %s for %s (%s: %s), %s; %s; camsq resume %s tries it at once",
			t.Action, span(f.Now.Sub(t.Since)), plain(t.Code), clip(plain(t.Message), 160), plural(int64(t.Probes), "call"), f.nextProbe(), f.Account))
	}
	return out
}
