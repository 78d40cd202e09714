package metrics

import (
	"context"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/tasks"
)

// Backlog reports what is still to be done. It is asked once for each scrape, by
// several goroutines at once if there are several scrapers; its answer must cost
// the store little. An error means that no account could be asked: the scrape
// then reports camsq_redis_up 0 and leaves the other gauges out, since unknown is not zero.
// Of callbacks it counts those of the accounts that could be asked.
type Backlog interface {
	Backlog(ctx context.Context) ([]LaneBacklog, CallbackBacklog, error)
}

// LaneBacklog is where one account's jobs stand.
type LaneBacklog struct {
	Account string
	// Unknown says that the part of the store that has the account did not answer: its
	// gauges are left out.
	Unknown bool
	// Jobs counts the jobs in each state; a state that is left out has none.
	Jobs map[tasks.State]int64
	// Oldest is the age of the oldest job in each state that is not final.
	Oldest map[tasks.State]time.Duration
	// Rate is how many creates a second the account is paced at now, and Ceiling what
	// it may be paced at when nothing was throttled lately.
	Rate, Ceiling float64
	// Paused says that an operator has stopped the account. TrippedBy is the code with which
	// the API refuses it, or, if Away, that of an API that is away; "" if neither is so.
	Paused    bool
	TrippedBy string
	Away      bool
	// Desired is how many worker processes the account's quota can keep busy.
	Desired int
}

// CallbackBacklog is what has not been delivered yet.
type CallbackBacklog struct {
	// Owed are to be tried again, Dead were given up and wait for an operator.
	Owed, Dead int64
	// OldestOwed is how long the oldest of Owed has been owed.
	OldestOwed time.Duration
}

// backlogTimeout is under Prometheus's scrape timeout of 10 s, so that a slow
// store makes a scrape that says so, and not a scrape that is lost.
const backlogTimeout = 5 * time.Second

var (
	redisUp = prometheus.NewDesc("camsq_redis_up",
		"Whether Redis answered when this scrape asked for the backlog.", nil, nil)
	jobs = prometheus.NewDesc("camsq_jobs",
		"Jobs by where they stand, of all processes together.", []string{"account", "state"}, nil)
	jobOldest = prometheus.NewDesc("camsq_job_oldest_seconds",
		"Age of the oldest job in each state that is not final; 0 where there is none.", []string{"account", "state"}, nil)
	callbacksOwed = prometheus.NewDesc("camsq_callbacks_owed",
		"Outcomes that no receiver has acknowledged yet and that are to be tried again.", nil, nil)
	callbacksDead = prometheus.NewDesc("camsq_callbacks_dead",
		"Outcomes whose delivery was given up and waits for an operator.", nil, nil)
	laneRate = prometheus.NewDesc("camsq_lane_rate",
		"Creates a second at which all workers together are paced now; lower than the ceiling after throttled calls.", []string{"account"}, nil)
	laneCeiling = prometheus.NewDesc("camsq_lane_rate_ceiling",
		"Creates a second at which they are paced when nothing was throttled lately: the configured rate, or an operator's limit.", []string{"account"}, nil)
	lanePaused = prometheus.NewDesc("camsq_lane_paused",
		"Whether an operator has stopped the account's new calls.", []string{"account"}, nil)
	laneTripped = prometheus.NewDesc("camsq_lane_tripped",
		"Whether the account's jobs wait since the API refuses it (kind refused), or is away: cannot be reached or answers with faults only (kind away); by the code; 0 with code none if not.",
		[]string{"account", "kind", "code"}, nil)
	desiredWorkers = prometheus.NewDesc("camsq_desired_workers",
		"Worker processes that the account's quota and backlog can keep busy. An autoscaler takes the maximum over the accounts.", []string{"account"}, nil)
	callbackOldest = prometheus.NewDesc("camsq_callback_oldest_seconds",
		"Age of the oldest outcome that is owed to its receiver; 0 where there is none.", nil, nil)
)

type backlogCollector struct {
	source   Backlog
	accounts set
	code     func(string) string
}

func (c *backlogCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{redisUp, jobs, jobOldest, callbacksOwed, callbacksDead, callbackOldest,
		laneRate, laneCeiling, lanePaused, laneTripped, desiredWorkers} {
		ch <- d
	}
}

func (c *backlogCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	lanes, callbacks, err := c.source.Backlog(ctx)
	if err != nil {
		gauge(redisUp, 0)
		return
	}
	gauge(redisUp, 1)
	for account, lane := range c.byLabel(lanes) {
		for _, kind := range TripKinds() {
			code := lane.trips[kind]
			gauge(laneTripped, flag(code != ""), account, kind, c.code(code))
		}
		gauge(laneRate, lane.Rate, account)
		gauge(laneCeiling, lane.Ceiling, account)
		gauge(lanePaused, flag(lane.Paused), account)
		gauge(desiredWorkers, float64(lane.Desired), account)
		for _, state := range tasks.States() {
			gauge(jobs, float64(lane.Jobs[state]), account, string(state))
			if !state.Final() {
				gauge(jobOldest, lane.Oldest[state].Seconds(), account, string(state))
			}
		}
	}
	gauge(callbacksOwed, float64(callbacks.Owed))
	gauge(callbacksDead, float64(callbacks.Dead))
	gauge(callbackOldest, callbacks.OldestOwed.Seconds())
}

// joinedLanes are the lanes of one label. trips is the code that each kind of trip
// is of.
type joinedLanes struct {
	LaneBacklog
	trips map[string]string
}

// The kinds of trips: the API refuses the account, or is away.
const (
	tripRefused = "refused"
	tripAway    = "away"
)

// TripKinds lists why a lane makes no call but probes.
func TripKinds() []string { return []string{tripRefused, tripAway} }

func (l LaneBacklog) tripKind() string {
	switch {
	case l.TrippedBy == "":
		return ""
	case l.Away:
		return tripAway
	}
	return tripRefused
}

// byLabel gives every account its lane, with zeros where the store knows of no
// job, and joins the lanes of unlisted accounts: one series sent twice would
// fail the whole scrape.
func (c *backlogCollector) byLabel(lanes []LaneBacklog) map[string]joinedLanes {
	joined, unknown := make(map[string]joinedLanes, len(c.accounts)), map[string]bool{}
	for account := range c.accounts {
		joined[account] = joinedLanes{
			LaneBacklog: LaneBacklog{
				Jobs:   map[tasks.State]int64{},
				Oldest: map[tasks.State]time.Duration{},
			},
			trips: map[string]string{},
		}
	}
	for _, lane := range lanes {
		unknown[c.accounts.label(lane.Account)] = unknown[c.accounts.label(lane.Account)] || lane.Unknown
		sum := joined[c.accounts.label(lane.Account)]
		for state, n := range lane.Jobs {
			sum.Jobs[state] += n
		}
		for state, age := range lane.Oldest {
			sum.Oldest[state] = max(sum.Oldest[state], age)
		}
		sum.Rate += lane.Rate
		sum.Ceiling += lane.Ceiling
		sum.Paused = sum.Paused || lane.Paused
		if kind := lane.tripKind(); kind != "" {
			sum.trips[kind] = max(sum.trips[kind], lane.TrippedBy)
		}
		sum.Desired = max(sum.Desired, lane.Desired)
		joined[c.accounts.label(lane.Account)] = sum
	}
	maps.DeleteFunc(joined, func(label string, _ joinedLanes) bool { return unknown[label] })
	return joined
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
