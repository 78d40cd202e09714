//go:build !unix

package app

// filesLimit is 0, for none: this system has no such limit.
func filesLimit() uint64 { return 0 }
