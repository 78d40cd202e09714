// Package check is the command that tells whether Redis, the credentials, the API and the
// receivers are ready for a worker. It creates nothing and changes nothing.
package check
