// Package ratelimit lets all processes together use one account's quota and no
// more. A bucket gives out slots that are one interval apart on Redis's clock.
// Waiters reserve the next slot and sleep until it comes, so a wait is about
// one round trip and not a race.
//
// The rate in force is the ceiling that the caller believes in, until the API
// turns a call away: then it is just under what goes through, for all processes
// at once, and climbs back to the ceiling, slowly at first and then faster and
// faster. No process has to write for that: the scripts reckon the rate from when it
// was lowered. See [Bucket.Throttled]; docs/decisions.md has the other rules, and
// figures.
//
// It promises that in no second more than ceiling + Burst waits end, as seen by
// Redis; that a process serves its waiters in the order in which they came, the
// urgent ones first; that no caller waits much longer than MaxWait; and that no
// slot further ahead than the horizon (200 ms) is taken, which bounds what a dead
// process takes with it. It refuses to guess: where Redis has lost the bucket, a
// burst allowance starts at zero, and where Redis does not answer, Wait fails.
// Between processes it promises no order.
//
// A bucket is one hash at the key that the caller names. Times are in
// microseconds since 1970, rates in slots a second:
//
//	last     start of the last slot given out; a burst's lie in the past
//	blocked  no slot starts before this
//	seen     when the bucket was last written; if that is to come, the clock went
//	         back, and all times are moved with it
//	ceiling  of the last reservation; for reading only
//	recent   slots given out in each tenth of a second, less calls turned away:
//	         the number of the newest tenth, its slots, those of the one before, …
//	granted  slots given out since a call was turned away
//
// and, once one was:
//
//	level    what the rate was lowered to
//	lowered  when
//	found    a reference level; later levels within half of it belong to the same series
//	since    when that series began
//	row      calls turned away in a row, about
//
// Put the account between braces in the key, and the bucket lies in the slot
// of the account's other keys. The hash expires an hour after its last use;
// what that costs is one interval and the burst, and that the rate begins at the
// ceiling. It needs no durability.
package ratelimit
