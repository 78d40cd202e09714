// Package callbacktest is a webhook receiver for tests of programs that use camsq. It
// verifies each webhook, counts it, and detects one that comes again with another body.
//
// Serve a Receiver with net/http/httptest and give the server's URL to camsq as
// CAMSQ_CALLBACK_URL, with CAMSQ_CALLBACK_ALLOW_PRIVATE=true.
package callbacktest
