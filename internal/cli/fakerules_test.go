package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/camsq/camsq/cams"
	"github.com/camsq/camsq/internal/cli/fake"
	"github.com/camsq/camsq/internal/exit"
)

func rulesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "case.rules.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheFakeObeysAFileOfRules(t *testing.T) {
	t.Parallel()
	r := startFake(t, nil, "--calm", "--receiver", "127.0.0.1:0", "--rules", rulesFile(t, `{"store":"lower","filter":"stored","rules":[
		{"name":"^poison$","status":403,"code":"Forbidden.ResourceGroup","message":"The resource group does not exist."},
		{"times":1,"lose":true}]}`))
	c := r.client()
	for name, want := range map[string]string{"poison": "Forbidden.ResourceGroup", "Shop": "no answer"} {
		_, err := c.CreateInstance(t.Context(), cams.CreateInstanceRequest{ChannelType: "VIBER", InstanceName: name})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	var instances []struct {
		Name      string `json:"instance_name"`
		Requested string `json:"requested_name"`
	}
	r.get("/_fake/instances", &instances)
	if len(instances) != 1 || instances[0].Name != "shop" || instances[0].Requested != "Shop" {
		t.Errorf("the instances are %+v", instances)
	}
	create(t, c, "Shop")
	create(t, c, "SHOP")
	var stats fake.Stats
	r.get("/_fake/stats", &stats)
	if len(stats.Duplicates) != 1 || stats.Duplicates["VIBER Shop"] != 2 {
		t.Errorf("the doubles are %v, want 2 of Shop, which was asked for twice", stats.Duplicates)
	}
}

func TestTheFakeStoresNamesAsItIsTold(t *testing.T) {
	t.Parallel()
	r := startFake(t, nil, "--calm", "--receiver", "127.0.0.1:0", "--store-names", "suffix", "--filter-stored")
	c := r.client()
	create(t, c, "shop")
	found, err := c.ListInstances(t.Context(), cams.ListInstancesRequest{InstanceName: "shop"})
	if err != nil || len(found) != 1 || found[0].InstanceName != "shop-1a2b" {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestTheFakeRefusesRulesThatAreNone(t *testing.T) {
	t.Parallel()
	good := rulesFile(t, `{"store":"lower"}`)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--rules", rulesFile(t, `{"rules":[{"stauts":1}]}`)}, `case.rules.json: rule 1: unknown field "stauts"`},
		{[]string{"--rules", filepath.Join(t.TempDir(), "none.json")}, "no such file"},
		{[]string{"--rules", good, "--store-names", "upper"}, "has a store too"},
		{[]string{"--store-names", "rot13"}, "want one of html, lower"},
		{[]string{"--filter-stored"}, "--store-names, which is not given"},
	} {
		var out, errs bytes.Buffer
		code := Run(t.Context(), append([]string{"fake", "--addr", "127.0.0.1:0"}, tt.args...), nil, nil, &out, &errs)
		if code != exit.CodeUsage || !strings.Contains(errs.String(), tt.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%v: exit code %d, it says %q, want %q", tt.args, code, errs.String(), tt.want)
		}
	}
}
