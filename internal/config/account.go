package config

import (
	"strings"

	"github.com/camsq/camsq/internal/humanize"
)

// Host is the host and port of the account's endpoint.
func (a Account) Host() string {
	return humanize.Or(a.Endpoint, "cams."+a.Region+".aliyuncs.com")
}

// APIHost is where the account's API is, without what an endpoint must not hold.
func (a Account) APIHost() string {
	host := a.Host()
	if _, rest, found := strings.Cut(host, "://"); found {
		host = rest
	}
	return humanize.Sanitize(strings.Trim(host[strings.LastIndexByte(host, '@')+1:], "/"))
}
