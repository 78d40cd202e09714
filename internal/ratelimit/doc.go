// Package ratelimit lets all processes together use one account's quota and no
// more. A bucket gives out slots that are one interval apart on Redis's clock.
// Waiters reserve the next slot and sleep until it comes, so a wait is about
// one round trip and not a race.
//
// It promises that in no second more than Rate + Burst waits end, as seen by
// Redis; that a process serves its waiters in the order in which they came;
// and that no slot further ahead than the horizon (200 ms) is taken, which
// bounds what a dead process takes with it. It refuses to guess: where Redis
// has lost the bucket, a burst has to be earned again, and where Redis does
// not answer, Wait fails. Between processes it promises no order.
//
// A bucket is one hash at the key that the caller names, of times in
// microseconds since 1970:
//
//	last     start of the last slot given out; a burst's lie in the past
//	blocked  no slot starts before this
//	rate     slots a second, as the last reservation had it; for reading only
//	pace     left free for a rate that adapts
//
// Put the account between braces in the key, and the bucket lies in the slot
// of the account's other keys. The hash expires an hour after its last use;
// what that costs is one interval and the burst. It needs no durability.
package ratelimit
