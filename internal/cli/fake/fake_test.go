package fake

import (
	"testing"

	"github.com/camsq/camsq/cams/camstest"
)

func TestAKeyOfTheEnvironmentBringsItsToken(t *testing.T) {
	env := map[string]string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID": "a", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "b", "ALIBABA_CLOUD_SECURITY_TOKEN": "c",
	}
	key, users, err := options{}.key(func(name string) string { return env[name] })
	if err != nil || !users || key.AccessKeyID != "a" || key.AccessKeySecret != "b" || key.SecurityToken != "c" {
		t.Errorf("got %v, %v", users, err)
	}
	key, users, err = options{}.key(func(string) string { return "" })
	if err != nil || users || key.AccessKeyID != camstest.KeyID {
		t.Errorf("without one: got %v, %v", users, err)
	}
}
