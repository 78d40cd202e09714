// Package callback sends and receives webhooks by the Standard Webhooks scheme
// (https://www.standardwebhooks.com).
//
// Senders: a [Sender] makes one signed try at a time, keeps a pace of its own
// for every host, and reports what came of it. It refuses to follow redirects,
// to use a proxy from the environment, to send in clear, and to connect to an
// address that is not public, whatever name resolves to it. It does not retry
// and keeps no queue: [Schedule] says when the next try is due.
//
// Receivers: [Verify] and [ReadEvent] accept a webhook only if one of the given
// keys signed it within the last five minutes. They do not remember webhooks: a
// delivery that is repeated has the same ID, and the receiver drops it by that.
package callback
