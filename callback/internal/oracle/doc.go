// Package oracle holds no code: its tests check package callback against the
// Standard Webhooks project's own libraries, in Go and for Node.js. It is a
// module of its own, so that what only a test needs never becomes a dependency
// of camsq.
//
// The Node.js half needs the packages of node/package-lock.json: run "npm ci" in
// the folder node.
package oracle
