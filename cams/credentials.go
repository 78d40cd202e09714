package cams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// CredentialSource gives the credentials for the next request. Credentials must be safe
// for concurrent use and return when ctx is done. Its errors are shown to people: they
// must hold no secret.
type CredentialSource interface {
	Credentials(ctx context.Context) (Credentials, error)
}

// Credentials is an access key, with a security token if it is a temporary one.
// It prints, logs and marshals as REDACTED; the fields are there for the signer.
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string
}

const redacted = "REDACTED"

// String returns REDACTED.
func (Credentials) String() string { return redacted }

// Format writes REDACTED, whatever the verb.
func (Credentials) Format(s fmt.State, _ rune) { fmt.Fprint(s, redacted) }

// LogValue returns REDACTED.
func (Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns REDACTED, and so do JSON, XML and YAML.
func (Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// check finds what could only give an unclear answer from the API. The values are secret.
func (c Credentials) check() error {
	for _, part := range []struct{ name, value string }{
		{"access key id", c.AccessKeyID},
		{"access key secret", c.AccessKeySecret},
		{"security token", c.SecurityToken},
	} {
		switch {
		case part.value == "" && part.name != "security token":
			return errors.New("the " + part.name + " is empty")
		case strings.ContainsAny(part.value, " \t\r\n"):
			return errors.New("the " + part.name + " has white space in it")
		}
	}
	return nil
}

// CredentialFunc is a function as a [CredentialSource].
type CredentialFunc func(ctx context.Context) (Credentials, error)

// Credentials calls f.
func (f CredentialFunc) Credentials(ctx context.Context) (Credentials, error) { return f(ctx) }

// StaticCredentials always gives c. A key that is empty or has white space in it
// fails the calls, not this function.
func StaticCredentials(c Credentials) CredentialFunc {
	return func(context.Context) (Credentials, error) { return c, nil }
}
