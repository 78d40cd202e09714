package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"time"

	"github.com/camsq/camsq/cams"
)

// cloud is a stand-in that runs, with one account.
type cloud struct {
	url string
	key cams.Credentials
}

// cloud starts a calm stand-in, with these flags besides.
func (l *lab) cloud(ctx context.Context, flags ...string) (cloud, error) {
	addr, err := freeAddr()
	if err != nil {
		return cloud{}, err
	}
	c := cloud{url: "http://" + addr, key: cams.Credentials{
		AccessKeyID: fmt.Sprintf("bench-%d", l.started), AccessKeySecret: "bench-secret",
	}}
	cmd := exec.Command(l.camsq, append([]string{
		"fake", "--calm", "--addr", addr, "--key-id", c.key.AccessKeyID, "--key-secret", c.key.AccessKeySecret,
	}, flags...)...)
	cmd.Env = l.env
	if _, err := l.start("fake", cmd); err != nil {
		return c, err
	}
	return c, l.await(ctx, "waiting for camsq fake", func(ctx context.Context) bool { return answers(ctx, c.url+"/_fake/quota") })
}

// client makes the signed calls of the account.
func (c cloud) client() (*cams.Client, error) {
	return cams.New(cams.Config{Endpoint: c.url, Credentials: cams.StaticCredentials(c.key)})
}

// callStats is what /_fake/stats says.
type callStats struct {
	Calls          map[string]int `json:"calls"`
	ThrottledCalls map[string]int `json:"throttled_calls"`
	Instances      int            `json:"instances"`
	Duplicates     map[string]int `json:"duplicates"`
	Violations     []string       `json:"violations"`
}

// creates and throttled are of CreateInstance.
func (t callStats) creates() int   { return t.Calls["CreateInstance"] }
func (t callStats) throttled() int { return t.ThrottledCalls["CreateInstance"] }

func (c cloud) stats(ctx context.Context) (callStats, error) {
	var t callStats
	err := c.ask(ctx, http.MethodGet, "/_fake/stats", &t)
	if err == nil && len(t.Duplicates)+len(t.Violations) > 0 {
		err = fmt.Errorf("the cloud was asked for %d instances twice, and complains of %q", len(t.Duplicates), t.Violations)
	}
	return t, err
}

// arrivals says when the call came in that made the instance of a name.
func (c cloud) arrivals(ctx context.Context) (map[string]time.Time, error) {
	var list []struct {
		Name    string    `json:"instance_name"`
		Arrived time.Time `json:"arrived"`
	}
	if err := c.ask(ctx, http.MethodGet, "/_fake/instances", &list); err != nil {
		return nil, err
	}
	at := map[string]time.Time{}
	for _, i := range list {
		at[i.Name] = i.Arrived
	}
	return at, nil
}

// setQuota sets how many creates a second it allows.
func (c cloud) setQuota(ctx context.Context, creates int) error {
	var got struct {
		Creates int `json:"creates"`
	}
	err := c.ask(ctx, http.MethodPut, fmt.Sprintf("/_fake/quota?creates=%d", creates), &got)
	if err == nil && got.Creates != creates {
		err = fmt.Errorf("asked for a quota of %d, and got %d", creates, got.Creates)
	}
	return err
}

func (c cloud) ask(ctx context.Context, method, path string, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}
