module github.com/camsq/camsq/callback/internal/oracle

go 1.26.0

require (
	github.com/camsq/camsq v0.0.0-00010101000000-000000000000
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1
)

require (
	code.dny.dev/ssrf v0.3.0 // indirect
	golang.org/x/text v0.44.0 // indirect
)

replace github.com/camsq/camsq => ../../..
