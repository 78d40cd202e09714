// Package demo is the demonstration: an embedded Redis, a fake API, a webhook receiver and
// two workers in one process. A few jobs meet a fault on purpose; the report shows each
// step of theirs and checks every promise against the API's own count.
package demo
