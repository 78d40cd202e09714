// Package tasks is the vocabulary that every other package shares: the job that
// a producer asks for, the outcome of one call, the state that a job is in,
// the record that the ledger keeps, and the event that a webhook delivers.
//
// It promises that what crosses a process boundary is defined here and nowhere
// else, so a change in this package is a change of the wire. It refuses to do
// I/O, and it imports the standard library, and Unicode's normal forms
// (golang.org/x/text/unicode/norm), which the standard library does not have.
package tasks
