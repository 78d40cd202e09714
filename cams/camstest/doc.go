// Package camstest is a CAMS API for tests and for trying things out. It holds
// instances in memory, in no cloud, and is harsher than the real one is known to be.
//
// It promises:
//   - every request's signature, date, nonce and body hash are checked, and what no
//     client should ever send is kept in [Server.Violations];
//   - names are not unique, so that a second create of a job is a second instance,
//     and [Server.Created] counts it;
//   - a fault comes as a pair: it failed and nothing was created, or it failed but
//     the instance is there;
//   - names may be stored otherwise than they were sent, answers may contradict what
//     exists, and a file of rules says which call meets what: see [ParseRules];
//   - unless [Config] says Calm, answers have every oddity that the API's page shows
//     or leaves open, and requests take a moment;
//   - one seed, one sequence of decisions: [Server.Seed] names it.
//
// It does not keep anything, does not speak TLS, and knows three operations:
// CreateInstance, ListInstance and QueryInstance. It needs no testing package, works
// without sockets, and so works in a testing/synctest bubble if it is made there.
package camstest
