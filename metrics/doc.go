// Package metrics holds every Prometheus collector of camsq, and the handler
// that serves them beside the two health pages.
//
// It promises that each label value comes from a closed list: accounts from
// [Config], outcomes, states and reasons from package tasks, codes from one
// table. What is in no list becomes "other", so neither an API nor a producer
// can make series without end. Every series that an alert or a dashboard of
// deploy/ counts on stands at zero from the start, so that rate() sees the first
// event, too. It refuses job IDs, instance names and messages as labels.
//
// The methods of [Metrics] fit the hooks of the packages that emit: each takes
// one event, never blocks, and may be called from any goroutine. Gauges are not
// kept in step by hand; they are asked of a [Backlog] at scrape time.
//
// Counters are of one process: sum them over all. Backlog gauges are of the
// whole system, and every process reports the same: take their maximum.
package metrics
