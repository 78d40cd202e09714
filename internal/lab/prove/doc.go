// Package prove puts camsq's promise to the test: it kills, freezes and cuts off workers
// and Redis while jobs run, and then compares the ledger with what the API stand-in and
// the receiver have seen.
package prove
