package cams

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"
)

const (
	credentialsFresh = 30 * time.Second
	credentialsStale = 120 * time.Second
	credentialsPause = 5 * time.Second
)

// VendorCredentials gives the credentials that the vendor's own package finds. That
// package is not safe for concurrent use, knows no contexts, sticks to a source that
// failed, and quotes secrets in its errors; this type mends these four. It keeps
// credentials for 30 s, has at most one fetch under way, and when a refresh fails goes
// on with the last good ones until they are 120 s old (the vendor's package renews a
// token when 180 s are left). It is safe for concurrent use.
type VendorCredentials struct {
	about string
	build func() (providers.CredentialsProvider, error)

	mu       sync.Mutex
	provider providers.CredentialsProvider
	fetching *fetch
	good     *Credentials
	goodAt   time.Time
	failedAt time.Time
}

type fetch struct {
	done        chan struct{}
	credentials *Credentials
	err         error
}

// NewDefaultCredentials gives what the vendor's default chain finds first, in this
// order: the environment (ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET), OIDC, a CLI
// profile, a credentials file, the ECS role, a credentials URI.
func NewDefaultCredentials() *VendorCredentials {
	return &VendorCredentials{
		about: "the vendor's default chain (environment, OIDC, CLI profile, credentials file, ECS role, URI)",
		build: func() (providers.CredentialsProvider, error) {
			return providers.NewDefaultCredentialsProvider(), nil
		},
	}
}

// NewProfileCredentials gives the credentials of one profile of the Aliyun CLI's
// configuration (~/.aliyun/config.json, or what ALIBABA_CLOUD_CONFIG_FILE names).
func NewProfileCredentials(profile string) *VendorCredentials {
	return &VendorCredentials{
		about: fmt.Sprintf("the Aliyun CLI profile %q", profile),
		build: func() (providers.CredentialsProvider, error) {
			return providers.NewCLIProfileCredentialsProviderBuilder().WithProfileName(profile).Build()
		},
	}
}

// Format writes where the credentials come from, and none of them, whatever the verb.
func (v *VendorCredentials) Format(s fmt.State, _ rune) { fmt.Fprint(s, "credentials from "+v.about) }

// Credentials returns the cached credentials or fetches new ones. When ctx is done it
// returns ctx's error at once; the fetch goes on for the next caller.
func (v *VendorCredentials) Credentials(ctx context.Context) (Credentials, error) {
	if err := ctx.Err(); err != nil {
		return Credentials{}, err
	}
	v.mu.Lock()
	if v.good != nil {
		age, sinceFailure := time.Since(v.goodAt), time.Since(v.failedAt)
		if age < credentialsFresh || age < credentialsStale && sinceFailure < credentialsPause {
			good := *v.good
			v.mu.Unlock()
			return good, nil
		}
	}
	f := v.fetching
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		v.fetching = f
		go v.fetch(f, v.provider)
	}
	v.mu.Unlock()

	select {
	case <-f.done:
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	}
	if f.err != nil {
		return Credentials{}, f.err
	}
	return *f.credentials, nil
}

// Invalidate forgets the credentials, for instance because the API has refused them.
// The next call looks for new ones from the start of the chain.
func (v *VendorCredentials) Invalidate() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.provider, v.fetching, v.good = nil, nil, nil
}

// fetch asks the provider, or a new one. No other goroutine uses that provider: it is
// v.provider only after a fetch, and only one fetch has it.
func (v *VendorCredentials) fetch(f *fetch, provider providers.CredentialsProvider) {
	defer close(f.done)
	var err error
	if provider == nil {
		provider, err = v.build()
	}
	var got *providers.Credentials
	if err == nil {
		got, err = provider.GetCredentials()
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	current := v.fetching == f // else Invalidate came in between: for those who wait only
	if current {
		v.fetching = nil
	}
	if err != nil || got == nil {
		// The cause is not shown: it may quote a whole credentials file.
		f.err = fmt.Errorf("no usable credentials from %s", v.about)
		if current {
			v.provider, v.failedAt = nil, time.Now()
			if v.good != nil && time.Since(v.goodAt) < credentialsStale {
				f.credentials, f.err = v.good, nil
			}
		}
		return
	}
	f.credentials = &Credentials{
		AccessKeyID:     got.AccessKeyId,
		AccessKeySecret: got.AccessKeySecret,
		SecurityToken:   got.SecurityToken,
	}
	if current {
		v.provider, v.good, v.goodAt = provider, f.credentials, time.Now()
	}
}
