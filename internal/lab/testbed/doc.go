// Package testbed is what the demonstration, the chaos trial, the benchmark and the tests
// of the command share: a stand-in for CAMS with a webhook receiver, and a proxy that
// delays and disturbs connections. Everything listens on loopback addresses.
package testbed
