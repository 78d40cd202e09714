package cams

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// vault is a provider that is as careless as the vendor's: it is not safe for concurrent use.
type vault struct {
	fetches int
	get     func(fetch int) (*providers.Credentials, error)
}

func (v *vault) GetCredentials() (*providers.Credentials, error) {
	v.fetches++
	return v.get(v.fetches)
}

func (v *vault) GetProviderName() string { return "vault" }

func key(id string) *providers.Credentials {
	return &providers.Credentials{AccessKeyId: id, AccessKeySecret: "secret", SecurityToken: "token"}
}

// from returns credentials whose n-th provider, from 1, answers as get says, and the
// number of providers that were built.
func from(get func(provider, fetch int) (*providers.Credentials, error)) (*VendorCredentials, *atomic.Int32) {
	built := new(atomic.Int32)
	return &VendorCredentials{about: "the vault", build: func() (providers.CredentialsProvider, error) {
		n := int(built.Add(1))
		return &vault{get: func(fetch int) (*providers.Credentials, error) { return get(n, fetch) }}, nil
	}}, built
}

func wantID(t *testing.T, v *VendorCredentials, want string) {
	t.Helper()
	got, err := v.Credentials(t.Context())
	if err != nil || got.AccessKeyID != want {
		t.Errorf("got %s, %v, want %s", got.AccessKeyID, err, want)
	}
}

var errLeaky = errors.New(`parsing {"access_key_secret": "hunter2"}`)

func TestManyCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		v, _ := from(func(int, int) (*providers.Credentials, error) {
			fetches.Add(1)
			time.Sleep(time.Second)
			return key("a"), nil
		})
		var callers sync.WaitGroup
		for range 32 {
			callers.Go(func() { wantID(t, v, "a") })
		}
		callers.Wait()
		if fetches.Load() != 1 {
			t.Errorf("got %d fetches, want 1", fetches.Load())
		}
	})
}

func TestCredentialsAreKeptForThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, built := from(func(_, fetch int) (*providers.Credentials, error) { return key(string(rune('a' + fetch - 1))), nil })
		wantID(t, v, "a")
		time.Sleep(29 * time.Second)
		wantID(t, v, "a")
		time.Sleep(2 * time.Second)
		wantID(t, v, "b")
		if built.Load() != 1 {
			t.Errorf("built %d providers, want 1: a provider that works is kept, with its session", built.Load())
		}
	})
}

func TestLastGoodCredentialsOutliveAFailedRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		var fetches atomic.Int32
		v, _ := from(func(int, int) (*providers.Credentials, error) {
			fetches.Add(1)
			if fails.Load() {
				return nil, errLeaky
			}
			return key("a"), nil
		})
		wantID(t, v, "a")
		fails.Store(true)
		for range 119 {
			time.Sleep(time.Second)
			wantID(t, v, "a")
		}
		if n := fetches.Load(); n < 2 || n > 20 {
			t.Errorf("got %d fetches in two minutes of failure, want one in 5 s", n)
		}
		time.Sleep(2 * time.Second)
		if got, err := v.Credentials(t.Context()); err == nil {
			t.Errorf("after 121 s: got %v, want an error", got)
		}
		fails.Store(false)
		wantID(t, v, "a")
	})
}

// The vendor's chain goes on asking the last provider that it tried, even if that one failed.
func TestAChainThatFailedIsBuiltAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, built := from(func(provider, _ int) (*providers.Credentials, error) {
			if provider == 1 {
				return nil, errLeaky
			}
			return key("b"), nil
		})
		if _, err := v.Credentials(t.Context()); err == nil {
			t.Error("want an error")
		}
		wantID(t, v, "b")
		if built.Load() != 2 {
			t.Errorf("built %d providers, want 2", built.Load())
		}
	})
}

func TestAFetchThatHangsDoesNotHoldItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		v, _ := from(func(int, int) (*providers.Credentials, error) {
			<-release
			return key("a"), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := v.Credentials(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v, want the deadline", err, time.Since(start))
		}
		close(release)
		wantID(t, v, "a")
	})
}

func TestInvalidateForgetsEvenTheFetchUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		v, _ := from(func(provider, _ int) (*providers.Credentials, error) {
			if provider == 1 {
				<-release
				return key("old"), nil
			}
			return key("new"), nil
		})
		var waiting sync.WaitGroup
		waiting.Go(func() { wantID(t, v, "old") })
		synctest.Wait()
		v.Invalidate()
		wantID(t, v, "new")
		close(release)
		waiting.Wait()
		wantID(t, v, "new") // not overwritten by the late one
		v.Invalidate()
		wantID(t, v, "new")
	})
}

func TestVendorErrorsAreNotQuoted(t *testing.T) {
	failing, _ := from(func(int, int) (*providers.Credentials, error) { return nil, errLeaky })
	empty, _ := from(func(int, int) (*providers.Credentials, error) { return nil, nil })
	unbuilt := &VendorCredentials{about: "the vault", build: func() (providers.CredentialsProvider, error) { return nil, errLeaky }}
	for _, v := range []*VendorCredentials{failing, empty, unbuilt} {
		if _, err := v.Credentials(t.Context()); err == nil || err.Error() != "no usable credentials from the vault" {
			t.Errorf("got %v", err)
		}
	}
}

func TestVendorCredentialsPrintNoSecret(t *testing.T) {
	v, _ := from(func(int, int) (*providers.Credentials, error) { return key("the-id"), nil })
	wantID(t, v, "the-id")
	client, err := New(Config{Credentials: v})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{v, client, *client, Config{Credentials: v}, []any{v}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "the-id") || strings.Contains(text, "token") {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

// isolate leaves the vendor's chain nothing but what the test gives it.
func isolate(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for _, name := range []string{
		"ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN", "ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE", "OIDC_TOKEN",
		"CONFIG_FILE", "PROFILE", "CREDENTIALS_FILE", "CREDENTIALS_URI", "ECS_METADATA",
	} {
		t.Setenv("ALIBABA_CLOUD_"+name, "")
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	return home
}

func TestTheDefaultChainFindsTheEnvironmentEvenAfterAFailure(t *testing.T) {
	isolate(t)
	v := NewDefaultCredentials()
	if got, err := v.Credentials(t.Context()); err == nil {
		t.Fatalf("with nothing set: got %v", got)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "from-env")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
	wantID(t, v, "from-env")
}

func TestProfileCredentials(t *testing.T) {
	home := isolate(t)
	config := filepath.Join(home, ".aliyun", "config.json")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"current":"other","profiles":[
		{"name":"other","mode":"AK","access_key_id":"other-id","access_key_secret":"secret"},
		{"name":"shop","mode":"AK","access_key_id":"shop-id","access_key_secret":"secret"}]}`)
	wantID(t, NewProfileCredentials("shop"), "shop-id")

	// The vendor's error for this one quotes the whole file.
	write(`{"profiles":[{"name":"shop","access_key_secret":"hunter2"`)
	_, err := NewProfileCredentials("shop").Credentials(t.Context())
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), `profile "shop"`) {
		t.Errorf("got %v, want the profile's name and no secret", err)
	}
}
