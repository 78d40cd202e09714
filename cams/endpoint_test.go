package cams

import (
	"strings"
	"testing"
)

func TestNewTakesTheEndpointOrNamesWhatIsWrong(t *testing.T) {
	credentials := StaticCredentials(Credentials{AccessKeyID: "id", AccessKeySecret: "secret"})
	tests := []struct {
		name    string
		config  Config
		want    string
		wantErr string
	}{
		{"default", Config{}, "https://cams.ap-southeast-1.aliyuncs.com/", ""},
		{"another region", Config{Region: "eu-central-1"}, "https://cams.eu-central-1.aliyuncs.com/", ""},
		{"an endpoint wins over a region", Config{Region: "eu-central-1", Endpoint: "cams.example.com"}, "https://cams.example.com/", ""},
		{"a host with a port", Config{Endpoint: "cams.example.com:8443"}, "https://cams.example.com:8443/", ""},
		{"https", Config{Endpoint: "https://cams.example.com/"}, "https://cams.example.com/", ""},
		{"http on this machine", Config{Endpoint: "http://127.0.0.1:8080"}, "http://127.0.0.1:8080/", ""},
		{"http on this machine, IPv6", Config{Endpoint: "http://[::1]:8080"}, "http://[::1]:8080/", ""},
		{"http on localhost", Config{Endpoint: "http://localhost"}, "http://localhost/", ""},
		{"http elsewhere", Config{Endpoint: "http://cams.example.com"}, "", "plain http is only for this machine"},
		{"http to a name that looks local", Config{Endpoint: "http://127.0.0.1.example.com"}, "", "plain http is only for this machine"},
		{"another scheme", Config{Endpoint: "ftp://cams.example.com"}, "", "want https://"},
		{"a path", Config{Endpoint: "https://cams.example.com/v1"}, "", "a host and nothing else"},
		{"a query", Config{Endpoint: "cams.example.com?x=1"}, "", "a host and nothing else"},
		{"a space", Config{Endpoint: "cams example"}, "", "not a host"},
		{"no host", Config{Endpoint: "https://"}, "", "a host and nothing else"},
		{"a password", Config{Endpoint: "https://me:hunter2@cams.example.com"}, "", "not a host"},
		{"a region that is none", Config{Region: "Singapore (SG)"}, "", `region "Singapore (SG)"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Credentials = credentials
			c, err := New(tt.config)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got error %v, want one line with %q and no password", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.base.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Credentials") {
		t.Errorf("without credentials: got %v", err)
	}
}
