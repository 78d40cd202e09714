// Package model is the protocol of package worker on paper: a state machine that
// is small enough to walk through every interleaving of it.
//
// It promises that [Explore] visits every state that can be reached within a
// [Config], checks each of the rules there, and returns the shortest way to one that
// breaks a rule, in words. Two workers take turns; each message to Redis, to the API
// and to the receiver is one step, and between any two steps anything else may
// happen: a worker dies, a reply or an answer is lost, a task is lost or delivered
// to both workers, the API creates late and lists later.
//
// There is no time in it. The call's deadline and the settle window pass at any
// moment at which the real ones could; backoff, pauses and quotas only delay, so a
// turn may be taken whenever there is a task. Two things hold by assumption, and
// the flaws [LateList] and [FrozenSend] show what they are worth: what was on the
// wire when a job became uncertain is listed before the settle window ends, and a
// process that was frozen past its call's deadline does not send.
//
// Cases that are equivalent to a modelled one are left out: a turn that is put off, cut short
// by the queue or given up after an error is a worker that dies there; a lookup that
// proves nothing writes only a new revision; blocked is throttled; a request that
// the API drops, and one that never reaches it, are one. Reads that follow each
// other are one step where the later can only know more: the claims after the list.
//
// It is not generated from the code. Only the steps are checked against [tasks.Next], so a
// change of a turn needs the same change here.
package model
