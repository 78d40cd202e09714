// Package callbacktest has a webhook receiver for tests: it verifies each webhook, counts
// it, and finds one that comes again with another body.
package callbacktest
