// Package check implements camsq check: it reports whether Redis, the credentials, the API and the
// receivers are ready for a worker. It creates nothing and changes nothing.
package check
