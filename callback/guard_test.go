package callback_test

import (
	"strings"
	"testing"

	"github.com/camsq/camsq/callback"
)

func TestCheckURL(t *testing.T) {
	const hidden = "s3cret"
	cases := []struct {
		name, url       string
		public, private bool // whether it passes: by default, and with allowPrivate
	}{
		{"a public name", "https://hooks.example.com/in?token=s3cret", true, true},
		{"a port of its own", "https://hooks.example.com:8443/in", true, true},
		{"a public IPv4 address", "https://93.184.216.34/", true, true},
		{"a public IPv6 address", "https://[2606:2800:220:1:248:1893:25c8:1946]/", true, true},
		{"a name that begins with digits", "https://127.0.0.1.example.com/", true, true},
		{"a name of letters that could be hex", "https://hooks.fade/", true, true},
		{"http", "http://hooks.example.com/s3cret", false, true},
		{"another scheme", "ftp://hooks.example.com/s3cret", false, false},
		{"no scheme", "hooks.example.com/s3cret", false, false},
		{"a path alone", "/s3cret", false, false},
		{"empty", "", false, false},
		{"no host", "https:///s3cret", false, false},
		{"a port alone", "https://:443/s3cret", false, false},
		{"opaque", "https:s3cret", false, false},
		{"a user", "https://s3cret@hooks.example.com/", false, false},
		{"a user and a password", "https://user:s3cret@hooks.example.com/", false, false},
		{"a password that breaks the URL", "https://user:s3cret/x@hooks.example.com/", false, false},
		{"port 0", "https://hooks.example.com:0/s3cret", false, false},
		{"a port out of range", "https://hooks.example.com:70000/s3cret", false, false},
		{"a line break", "https://hooks.example.com/\r\ns3cret", false, false},
		{"too long", "https://hooks.example.com/s3cret" + strings.Repeat("a", 2048), false, false},
		{"two dots at the end", "https://hooks.example.com../", false, false},

		{"loopback", "https://127.0.0.1/", false, true},
		{"loopback, another", "https://127.255.255.254/", false, true},
		{"loopback, IPv6", "https://[::1]/", false, true},
		{"loopback, mapped", "https://[::ffff:127.0.0.1]/", false, true},
		{"loopback, through NAT64", "https://[64:ff9b::7f00:1]/", false, true},
		{"loopback, through 6to4", "https://[2002:7f00:1::]/", false, true},
		{"localhost", "https://localhost/", false, true},
		{"localhost in capitals with a dot", "https://LOCALHOST./", false, true},
		{"a name below localhost", "https://a.localhost/", false, true},
		{"unspecified", "https://0.0.0.0/", false, true},
		{"private 10/8", "https://10.1.2.3/", false, true},
		{"private 172.16/12", "https://172.31.255.255/", false, true},
		{"private 192.168/16", "https://192.168.0.1/", false, true},
		{"private IPv6", "https://[fd00::1]/", false, true},
		{"shared 100.64/10", "https://100.64.0.1/", false, true},
		{"benchmarking 198.18/15", "https://198.18.0.1/", false, true},
		{"multicast", "https://224.0.0.1/", false, true},
		{"broadcast", "https://255.255.255.255/", false, true},
		{"documentation", "https://192.0.2.1/", false, true},

		{"metadata of Alibaba Cloud", "https://100.100.100.200/latest/meta-data/", false, false},
		{"metadata of most clouds", "https://169.254.169.254/latest/meta-data/", false, false},
		{"metadata of most clouds, mapped", "https://[::ffff:169.254.169.254]/", false, false},
		{"metadata of Azure, in a public range", "https://168.63.129.16/", false, false},
		{"metadata of AWS, IPv6", "https://[fd00:ec2::254]/", false, false},
		{"metadata of Oracle Cloud", "https://192.0.0.192/", false, false},
		{"link-local", "https://169.254.1.1/", false, false},
		{"link-local IPv6 with a zone", "https://[fe80::1%25eth0]/", false, false},
		{"a short IPv4 address", "https://127.1/", false, false},
		{"a decimal IPv4 address", "https://2130706433/", false, false},
		{"a hexadecimal IPv4 address", "https://0x7f000001/", false, false},
		{"an octal IPv4 address", "https://0177.0.0.1/", false, false},
		{"an IPv4 address with a huge part", "https://127.0.0.99999999999999999999999/", false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for allowPrivate, want := range map[bool]bool{false: c.public, true: c.private} {
				err := callback.CheckURL(c.url, allowPrivate)
				if (err == nil) != want {
					t.Errorf("allowPrivate %v: error = %v, want it to pass = %v", allowPrivate, err, want)
				}
				if err == nil {
					continue
				}
				if strings.Contains(err.Error(), hidden) || strings.ContainsAny(err.Error(), "\r\n") {
					t.Errorf("the error repeats the URL or has several lines: %q", err)
				}
				if !strings.HasPrefix(err.Error(), "callback: checking a URL") {
					t.Errorf("the error does not say what was done: %q", err)
				}
			}
		})
	}
}
