package main

import (
	"testing"
	"time"

	"github.com/camsq/camsq/tasks"
)

func (d *desk) lane(account string) tasks.Lane {
	d.t.Helper()
	lanes, err := d.ledger.Lanes(d.t.Context(), []string{account})
	if err != nil {
		d.t.Fatal(err)
	}
	return lanes[0]
}

func TestAPersonPausesLimitsAndResumesAccounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t).twoAccounts()
	d.want(exitOK, `
eu: paused: in 5 s at the latest no worker begins a call any more, those under way end; to go on: camsq resume eu
default: paused: in 5 s at the latest no worker begins a call any more, those under way end; to go on: camsq resume default
`, "", "pause", "eu", "default", "--reason", "ticket 17")
	d.want(exitOK, `
eu: 30 a minute at most, in every worker, until it is set anew; camsq limit eu off takes it back
`, "", "limit", "eu", "30/m")
	if l := d.lane("eu"); l.Pause == nil || l.Pause.Why != "ticket 17" || l.Limit != 0.5 {
		t.Errorf("the lane is %+v", l)
	}
	code, out, errs := d.run("status")
	said(t, "overview", code, 0, still(out)+errs, `ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
default       0        0          0     0        0       0          0
eu            0        0          0     0        0       0          0

default: paused for N s: ticket 17; camsq resume default lets it go on
eu: paused for N s: ticket 17; camsq resume eu lets it go on
eu: goes at 29.7 a minute (as a person has limited it)
`)
	d.want(exitOK, "\neu: resumed\n", "", "resume", "eu")
	d.want(exitOK, "\neu: not paused, and not refused by the API: there was nothing to do\n", "", "resume", "eu")
	d.want(exitOK, "\neu: the configured rate holds again\n", "", "limit", "eu", "off")
	if l := d.lane("eu"); l.Pause != nil || l.Limit != 0 {
		t.Errorf("the lane is %+v", l)
	}

	d.trip("eu", time.Hour)
	d.want(exitOK, "\neu: the API refused it (NoPermission); one call tries it again now, and the others follow when it is let in\n", "", "resume", "eu")
	if l := d.lane("eu"); l.Trip == nil || l.Trip.ProbeAt.After(l.Now) {
		t.Errorf("the next probe comes at %+v", l.Trip)
	}
	code, out, errs = d.run("status")
	said(t, "overview of a refused account", code, 0, still(out)+errs, `ACCOUNT  QUEUED  CALLING  UNCERTAIN  HELD  CREATED  FAILED  CANCELLED
default       0        0          0     0        0       0          0
eu            0        0          0     0        0       0          0

default: paused for N s: ticket 17; camsq resume default lets it go on
eu: the API has refused CreateInstance for N s (NoPermission: You are not authorized.), 1 call; the next job tries it again; camsq resume eu tries it at once
`)
}

func TestALaneThatIsNotThereOrNoRateIsRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t).twoAccounts()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"pause"}, "camsq: pause needs an account; camsq status lists them"},
		{[]string{"pause", "eu", "asia"}, "camsq: asia: there is no such account; there is default, eu"},
		{[]string{"resume", "asia"}, "camsq: asia: there is no such account; there is default, eu"},
		{[]string{"limit", "eu"}, "camsq: limit takes an account and a rate, such as 8/s or off; see camsq limit --help"},
		{[]string{"limit", "asia", "8/s"}, "camsq: asia: there is no such account; there is default, eu"},
		{[]string{"limit", "eu", "0/s"}, `camsq: "0/s" is no rate: want a number above 0 for each s, m or h, such as 8/s or 30/m, or off; at most 10000/s`},
		{[]string{"limit", "eu", "8/d"}, `camsq: "8/d" is no rate: want a number above 0 for each s, m or h, such as 8/s or 30/m, or off; at most 10000/s`},
		{[]string{"limit", "eu", "NaN"}, `camsq: "NaN" is no rate: want a number above 0 for each s, m or h, such as 8/s or 30/m, or off; at most 10000/s`},
	} {
		d.want(exitUsage, "", "\n"+tt.want+"\n", tt.args...)
	}
	if l := d.lane("eu"); l.Pause != nil || l.Limit != 0 {
		t.Errorf("something was done: %+v", l)
	}
}

func TestARateIsReadAndTold(t *testing.T) {
	for text, want := range map[string]struct {
		rate float64
		told string
	}{
		"8": {8, "8 a second"}, "8/s": {8, "8 a second"}, "2.5/s": {2.5, "2.5 a second"},
		"90/m": {1.5, "1.5 a second"}, "30/m": {0.5, "30 a minute"}, "18/h": {0.005, "18 an hour"}, "off": {0, "0 an hour"},
	} {
		got, err := parseLimit(text)
		if err != nil || got != want.rate || perSecond(got) != want.told {
			t.Errorf("parseLimit(%q) = %v, %v, told as %q", text, got, err, perSecond(got))
		}
	}
}

// More workers than the quota can use help nobody, however deep the backlog is.
func TestTheWorkersThatAreWantedFollowTheQuotaAndNotTheBacklog(t *testing.T) {
	for _, tt := range []struct {
		name        string
		facts       func(*laneFacts)
		queued      int64
		turn        time.Duration
		concurrency int
		want        int
	}{
		{name: "nothing to do", turn: time.Second, concurrency: 32, want: 0},
		{name: "a night's import at five a second", queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
		{name: "a fast account with slow calls", facts: func(f *laneFacts) { f.Quota.Rate = 100 }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 13},
		{name: "few jobs of a fast account", facts: func(f *laneFacts) { f.Quota.Rate = 100 }, queued: 40, turn: 4 * time.Second, concurrency: 32, want: 2},
		{name: "paused", facts: func(f *laneFacts) { f.Quota.Rate, f.Pause = 100, &tasks.Pause{} }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
		{name: "refused", facts: func(f *laneFacts) { f.Quota.Rate, f.Trip = 100, &tasks.Trip{} }, queued: 50_000, turn: 4 * time.Second, concurrency: 32, want: 1},
	} {
		f := laneFacts{}
		f.Quota.Rate = 5
		if tt.facts != nil {
			tt.facts(&f)
		}
		if got := f.desiredWorkers(tt.queued, tt.turn, tt.concurrency); got != tt.want {
			t.Errorf("%s: %d workers, want %d", tt.name, got, tt.want)
		}
	}
	var turns turnTimes
	for range 100 {
		turns.note(tasks.Attempt{Account: "eu", Took: 2 * time.Second})
	}
	if known, unknown := turns.of("eu"), turns.of("us"); known != 4500*time.Millisecond || unknown != 2500*time.Millisecond {
		t.Errorf("a turn takes %v, and %v in an account without calls", known, unknown)
	}
}
