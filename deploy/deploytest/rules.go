package deploytest

import (
	"fmt"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Rule is an alert rule.
type Rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// ReadRules reads every rule of a Prometheus rule file.
func ReadRules(path string) ([]Rule, error) {
	text, err := os.ReadFile(path) //nolint:gosec // A test reads the file that it names.
	if err != nil {
		return nil, fmt.Errorf("deploytest: reading alert rules: %w", err)
	}
	var file struct {
		Groups []struct {
			Rules []Rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("deploytest: reading alert rules %s: %w", path, err)
	}
	var rules []Rule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules, nil
}

// CheckRules runs every alert's expression. An empty answer is a good one: it
// means that there is nothing to alert.
func CheckRules(t testing.TB, promURL, rulesPath string) {
	t.Helper()
	rules, err := ReadRules(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) == 0 {
		t.Fatalf("deploytest: %s has no rule", rulesPath)
	}
	for _, r := range rules {
		if _, err := query(t.Context(), promURL, r.Expr); err != nil {
			t.Errorf("deploytest: alert %s: %s: %v", r.Alert, r.Expr, err)
		}
	}
}
