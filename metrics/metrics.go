package metrics

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/camsq/camsq/tasks"
)

// Config says which label values there may be, and whom to ask for the gauges.
type Config struct {
	// Accounts are the lanes with series of their own. Any other is counted as "other".
	Accounts []string
	// Version is the program's own. Defaults to "unknown".
	Version string
	// Backlog is queried on every scrape. Without it there are no
	// gauges of jobs, callbacks and Redis.
	Backlog Backlog
}

// Metrics counts what happens. Its methods are hooks: see the package comment.
type Metrics struct {
	accounts, codes set

	calls            *prometheus.CounterVec
	callDuration     *prometheus.HistogramVec
	requests         *prometheus.CounterVec
	requestDuration  *prometheus.HistogramVec
	finished         *prometheus.CounterVec
	jobDuration      *prometheus.HistogramVec
	limiterWait      *prometheus.HistogramVec
	lookups          *prometheus.CounterVec
	callbackTries    *prometheus.CounterVec
	callbackDuration prometheus.Histogram
	swept            *prometheus.CounterVec
}

// Both APIs are quick or cut off by a timeout of some ten seconds; a job may
// last from a second to the end of its budget, which is a day by default.
var (
	callBuckets = []float64{.05, .1, .25, .5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30}
	waitBuckets = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	jobBuckets  = []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200, 86400}
)

// New registers every collector and creates the series that must stand at zero.
// It panics if the registerer has them already.
func New(reg prometheus.Registerer, cfg Config) *Metrics {
	m := &Metrics{
		accounts: newSet(append([]string{other}, cfg.Accounts...)...),
		codes:    newSet(allCodes()...),
		calls: counter("calls_total",
			"CreateInstance calls, by how they ended and the code that the API answered.", "account", "outcome", "code"),
		callDuration: histogram("call_duration_seconds",
			"Time that a CreateInstance call lasted, until its answer or its timeout.", callBuckets, "account"),
		requests: counter("api_requests_total",
			"Requests to the API, of every action, by how they ended and the code that was answered, or camsq's own where nothing was.",
			"account", "action", "outcome", "code"),
		requestDuration: histogram("api_request_duration_seconds",
			"Time that a request to the API lasted, until its answer or its timeout, of all accounts.", callBuckets, "action"),
		finished: counter("jobs_finished_total",
			"Jobs that ended or were held for an operator, by the code that says why.", "account", "state", "code"),
		jobDuration: histogram("job_duration_seconds",
			"Time from enqueueing a job to its end, or to being held for an operator.", jobBuckets, "account", "state"),
		limiterWait: histogram("limiter_wait_seconds",
			"Time that a call waited for the account's quota.", waitBuckets, "account", "action"),
		lookups: counter("lookups_total",
			"Looks for the instance of a create whose answer was lost, by what was found.", "account", "result"),
		callbackTries: counter("callback_tries_total",
			"Tries to deliver a webhook, by what becomes of it and why.", "result", "reason"),
		callbackDuration: prometheus.NewHistogram(histogramOpts("callback_duration_seconds",
			"Time that a try to deliver a webhook lasted, until its answer or its timeout.", callBuckets)),
		swept: counter("swept_total",
			"Jobs that the sweeper put back or cared for, by what had happened to them.", "kind"),
	}
	m.zero()

	reg.MustRegister(m.calls, m.callDuration, m.requests, m.requestDuration, m.finished, m.jobDuration, m.limiterWait, m.lookups,
		m.callbackTries, m.callbackDuration, m.swept, buildInfo(cfg.Version))
	if cfg.Backlog != nil {
		reg.MustRegister(&backlogCollector{source: cfg.Backlog, accounts: m.accounts, code: m.code})
	}
	return m
}

// zero creates the series that rate() must see before their first event.
func (m *Metrics) zero() {
	for account := range m.accounts {
		for _, outcome := range tasks.Outcomes() {
			for _, code := range append([]string{none, other}, callCodes[outcome]...) {
				m.calls.WithLabelValues(account, outcome.String(), code)
			}
		}
		m.callDuration.WithLabelValues(account)
		for _, action := range Actions() {
			for _, outcome := range tasks.Outcomes() {
				for _, code := range append([]string{other}, requestCodes[outcome]...) {
					m.requests.WithLabelValues(account, action, outcome.String(), code)
				}
			}
		}
		for _, state := range tasks.States() {
			for _, code := range finishCodes(state) {
				m.finished.WithLabelValues(account, string(state), code)
				m.jobDuration.WithLabelValues(account, string(state))
			}
		}
		for _, action := range Actions() {
			m.limiterWait.WithLabelValues(account, action)
		}
		for _, result := range LookupResults() {
			m.lookups.WithLabelValues(account, result)
		}
	}
	for _, action := range Actions() {
		m.requestDuration.WithLabelValues(action)
	}
	for _, reason := range tasks.DeliveryReasons() {
		m.callbackTries.WithLabelValues(expectedResult(reason).String(), reason)
	}
	for _, kind := range SweptKinds() {
		m.swept.WithLabelValues(kind)
	}
}

// Attempt counts a CreateInstance call. The time of a call that never left is
// the time of a failed dial, so it is not among the durations.
func (m *Metrics) Attempt(a tasks.Attempt) {
	account := m.accounts.label(a.Account)
	m.calls.WithLabelValues(account, a.Outcome.String(), m.code(a.Code)).Inc()
	if a.Outcome != tasks.OutcomeUnsent {
		m.callDuration.WithLabelValues(account).Observe(a.Took.Seconds())
	}
}

// APICall counts a request to the API, a create among them too. The action is one
// of [Actions], or counted as "other". The time of a request that never left is not
// among the durations.
func (m *Metrics) APICall(c tasks.APICall) {
	action := oneOf(Actions(), c.Action)
	m.requests.WithLabelValues(m.accounts.label(c.Account), action, c.Outcome.String(), m.code(c.Code)).Inc()
	if c.Outcome != tasks.OutcomeUnsent {
		m.requestDuration.WithLabelValues(action).Observe(c.Took.Seconds())
	}
}

// Finish counts a job that ended or was held for an operator.
func (m *Metrics) Finish(f tasks.Finish) {
	account, state := m.accounts.label(f.Account), other
	if slices.Contains(tasks.States(), f.State) {
		state = string(f.State)
	}
	m.finished.WithLabelValues(account, state, m.code(f.Code)).Inc()
	m.jobDuration.WithLabelValues(account, state).Observe(f.Age.Seconds())
}

// Delivery counts one try to deliver a webhook. A try in which the receiver had
// no part is not among the durations.
func (m *Metrics) Delivery(d tasks.Delivery) {
	result, reason := other, other
	if slices.Contains(tasks.DeliveryResults(), d.Result) {
		result = d.Result.String()
	}
	if slices.Contains(tasks.DeliveryReasons(), d.Reason) {
		reason = d.Reason
	}
	m.callbackTries.WithLabelValues(result, reason).Inc()
	if d.CostsTry() {
		m.callbackDuration.Observe(d.Took.Seconds())
	}
}

// LimiterWait counts a wait for the account's quota. The action is one of
// [Actions], or counted as "other".
func (m *Metrics) LimiterWait(account, action string, d time.Duration) {
	m.limiterWait.WithLabelValues(m.accounts.label(account), oneOf(Actions(), action)).Observe(d.Seconds())
}

// Lookup counts a lookup of an instance. The result is one of [LookupResults], or
// counted as "other".
func (m *Metrics) Lookup(account, result string) {
	m.lookups.WithLabelValues(m.accounts.label(account), oneOf(LookupResults(), result)).Inc()
}

// Swept counts n jobs that the sweeper cared for. The kind is one of
// [SweptKinds], or counted as "other".
func (m *Metrics) Swept(kind string, n int) {
	if n > 0 {
		m.swept.WithLabelValues(oneOf(SweptKinds(), kind)).Add(float64(n))
	}
}

// Actions lists the API actions that have a quota of their own.
func Actions() []string {
	return []string{"CreateInstance", "ListInstance"}
}

// LookupResults lists what a lookup of an instance may come to: one new instance of
// that name, none, several, new ones under other names, or no answer.
func LookupResults() []string {
	return []string{"found", "absent", "several", "near", "failed"}
}

// SweptKinds lists why the sweeper cared for a job: its task was lost, archived,
// or active without a lease, or its callback was owed and not queued; or why another
// worker goes on with a task: the one that had taken it is gone (abandoned).
func SweptKinds() []string {
	return []string{"task_lost", "archived", "no_lease", "callback_owed", "abandoned"}
}

// expectedResult is the result that a reason is expected with.
func expectedResult(reason string) tasks.DeliveryResult {
	switch reason {
	case tasks.ReasonOK:
		return tasks.DeliveryDelivered
	case tasks.ReasonGone:
		return tasks.DeliveryGone
	case tasks.ReasonRefused:
		return tasks.DeliveryRefused
	}
	return tasks.DeliveryRetry
}

func (m *Metrics) code(code string) string {
	if code == "" {
		return none
	}
	return m.codes.label(code)
}

// set is a closed list of label values.
type set map[string]bool

func newSet(values ...string) set {
	s := make(set, len(values))
	for _, v := range values {
		s[v] = true
	}
	return s
}

func (s set) label(value string) string {
	if s[value] {
		return value
	}
	return other
}

func oneOf(list []string, value string) string {
	if slices.Contains(list, value) {
		return value
	}
	return other
}

const namespace = "camsq"

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(histogramOpts(name, help, buckets), labels)
}

// histogramOpts makes a histogram that is complete in classic buckets and also
// has native ones, for servers that scrape those.
func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets:                         buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

func buildInfo(version string) prometheus.Collector {
	if version == "" {
		version = "unknown"
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info",
		Help:        "The program's version and the Go release that built it. Always 1.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	info.Set(1)
	return info
}
