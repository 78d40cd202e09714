// Package deploy_test holds what is shipped to run camsq to what the program
// really does: metric names, settings, times and links.
package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/camsq/camsq/deploy/deploytest"
	"github.com/camsq/camsq/metrics"
)

// drain is more than a worker needs to end its calls after SIGTERM.
const drain = 60 * time.Second

const runbook = "../docs/runbook.md"

// settings reads the names of the CAMSQ_ variables from the program's own table.
func settings(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("../internal/config/settings.go")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"CAMSQ_CONFIG"} // the table has it by a constant
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{(?:N|n)ame: "([a-z_]+)"`).FindAllSubmatch(source, -1) {
		names = append(names, "CAMSQ_"+strings.ToUpper(string(m[1])))
	}
	if !slices.Contains(names, "CAMSQ_REDIS_URL") || !slices.Contains(names, "CAMSQ_LOG_FORMAT") {
		t.Fatalf("the table has the settings %v: the search is broken", names)
	}
	return names
}

var setting = regexp.MustCompile(`\bCAMSQ_[A-Z_]+`)

func TestPromtoolAcceptsTheRules(t *testing.T) {
	t.Parallel()
	promtool := deploytest.LookTool(t, "promtool")
	for name, args := range map[string][]string{
		"config":                     {"check", "config", "prometheus/prometheus.yml"},
		"rules":                      {"check", "rules", alertsFile},
		"each alert fires and stops": {"test", "rules", "prometheus/alerts_test.yml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
			if err != nil {
				t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
}

func TestEachAlertIsTestedToFireAndToStop(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				AlertName string      `yaml:"alertname"`
				ExpAlerts []yaml.Node `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	readYAML(t, "prometheus/alerts_test.yml", &file)
	states := map[string]string{} // what is demanded of each alert in turn
	for _, test := range file.Tests {
		for _, check := range test.AlertRuleTest {
			state := " off"
			if len(check.ExpAlerts) > 0 {
				state = " on"
			}
			states[check.AlertName] += state
		}
	}
	for _, rule := range rules(t) {
		if got := states[rule.Alert]; !strings.Contains(got, "off on off") {
			t.Errorf("%s is tested to be%s; want off, on and off again", rule.Alert, got)
		}
	}
}

func TestEachAlertTellsWhatToDo(t *testing.T) {
	t.Parallel()
	for _, rule := range rules(t) {
		for _, key := range []string{"summary", "description", "runbook_url"} {
			if rule.Annotations[key] == "" {
				t.Errorf("%s has no %s", rule.Alert, key)
			}
		}
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s has the severity %q; want critical or warning", rule.Alert, severity)
		}
	}
}

func TestEachAlertHasItsPlaceInTheRunbook(t *testing.T) {
	t.Parallel()
	const page = "https://github.com/camsq/camsq/blob/main/docs/runbook.md#"
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	anchors := headingAnchors(string(text))
	for _, rule := range rules(t) {
		anchor, ok := strings.CutPrefix(rule.Annotations["runbook_url"], page)
		if !ok || !slices.Contains(anchors, anchor) {
			t.Errorf("%s points at %s, and %s has no such heading", rule.Alert, rule.Annotations["runbook_url"], runbook)
		}
	}
}

// headingAnchors returns the anchors that GitHub makes of a page's headings, and
// those that the page sets itself.
func headingAnchors(markdown string) []string {
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.+?) *$`).FindAllStringSubmatch(markdown, -1) {
		kept := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		anchors = append(anchors, kept)
	}
	for _, m := range regexp.MustCompile(`<a (?:id|name)="([^"]+)"`).FindAllStringSubmatch(markdown, -1) {
		anchors = append(anchors, m[1])
	}
	return anchors
}

func TestEveryMetricThatIsAskedForIsExported(t *testing.T) {
	t.Parallel()
	known, counters := exported(t)
	for place, expr := range queries(t) {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for no metric of camsq: %s", place, expr)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s asks for %s, which is not exported", place, name)
			}
		}
		for _, use := range metricUse.FindAllStringSubmatch(expr, -1) {
			// A counter's bare value is of no use, it starts anew with each process; and a gauge has no rate.
			if grows := use[1] != ""; grows != counters[use[2]] {
				t.Errorf("%s: counters, and only they, stand under rate or increase: %s", place, use[0])
			}
		}
	}
}

var (
	metricName = regexp.MustCompile(`\bcamsq_[a-z_]+\b`)
	metricUse  = regexp.MustCompile(`((?:rate|increase)\()?\b(camsq_[a-z_]+)\b`)
)

// exported returns every name that a query may use, and which of them only grow.
func exported(t *testing.T) (names, counters map[string]bool) {
	t.Helper()
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Config{Backlog: busy{}})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names, counters = map[string]bool{}, map[string]bool{}
	for _, f := range families {
		switch f.GetType().String() {
		case "HISTOGRAM":
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				names[f.GetName()+suffix], counters[f.GetName()+suffix] = true, true
			}
		case "COUNTER":
			names[f.GetName()], counters[f.GetName()] = true, true
		default:
			names[f.GetName()] = true
		}
	}
	return names, counters
}

// queries returns every expression that is shipped, by its place.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, rule := range rules(t) {
		all["alert "+rule.Alert] = rule.Expr
	}
	for _, p := range dashboard(t).Graphs() {
		for _, target := range p.Targets {
			all[fmt.Sprintf("panel %q, query %s", p.Title, target.RefID)] = target.Expr
		}
	}
	return all
}

func TestEveryPanelCanBeUnderstood(t *testing.T) {
	t.Parallel()
	d := dashboard(t)
	if d.Editable {
		t.Error("the dashboard is editable: what is changed in the browser would be lost")
	}
	variables := map[string]deploytest.Variable{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v
	}
	if variables["datasource"].Type != "datasource" {
		t.Error("the dashboard has no variable for its data source")
	}
	if account := variables["account"]; account.Type != "query" || account.AllValue == "" {
		t.Errorf("the variable for the account is %+v; want a query with a value for all", account)
	}
	templated := deploytest.Datasource{Type: "prometheus", UID: "${datasource}"}
	titles, ids := map[string]bool{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the ID %d of another panel", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q reaches over the right edge", p.Title)
		}
	}
	for _, p := range d.Graphs() {
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("panel %d %q needs a title, a description %q and a unit %q", p.ID, p.Title, p.Description, p.FieldConfig.Defaults.Unit)
		}
		if titles[p.Title] {
			t.Errorf("two panels have the title %q", p.Title)
		}
		titles[p.Title] = true
		if p.Datasource != templated || len(p.Targets) == 0 {
			t.Errorf("panel %q needs queries of the chosen data source", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource != templated {
				t.Errorf("panel %q, query %s does not ask the chosen data source", p.Title, target.RefID)
			}
			if fixedWindow.MatchString(target.Expr) {
				t.Errorf("panel %q looks through a fixed window; want $__rate_interval or $__range: %s", p.Title, target.Expr)
			}
			if strings.Contains(target.Expr, "account") && !strings.Contains(target.Expr, `account=~"$account"`) {
				t.Errorf("panel %q leaves the chosen account aside: %s", p.Title, target.Expr)
			}
		}
	}
}

var fixedWindow = regexp.MustCompile(`\[[0-9]`)

func TestOnlyKnownSettingsAreShipped(t *testing.T) {
	t.Parallel()
	known := settings(t)
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, v := range setting.FindAllString(string(text), -1) {
			found++
			if !slices.Contains(known, v) {
				t.Errorf("%s names the setting %s, which no process reads", path, v)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no file names any setting: the search is broken")
	}
}

func TestTheReadmeTellsEverySetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	mentioned := setting.FindAllString(string(text), -1)
	known := settings(t)
	for _, name := range known {
		if !slices.Contains(mentioned, name) {
			t.Errorf("the README does not tell of %s", name)
		}
	}
	for _, name := range mentioned {
		if !slices.Contains(known, name) {
			t.Errorf("the README tells of %s, which no process reads", name)
		}
	}
}

func TestAWorkerIsGivenTimeToDrain(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services map[string]struct {
			StopGracePeriod time.Duration `yaml:"stop_grace_period"`
		} `yaml:"services"`
	}
	readYAML(t, "compose.yaml", &compose)
	if got := compose.Services["worker"].StopGracePeriod; got < drain {
		t.Errorf("compose kills a worker after %v, want %v", got, drain)
	}

	var pod struct {
		Spec struct {
			Template struct {
				Spec struct {
					Grace int `yaml:"terminationGracePeriodSeconds"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	readYAML(t, "kubernetes/worker.yaml", &pod)
	if got := time.Duration(pod.Spec.Template.Spec.Grace) * time.Second; got < drain {
		t.Errorf("kubernetes kills a worker after %v, want %v", got, drain)
	}

	unit, err := os.ReadFile("systemd/camsq-worker.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)s$`).FindSubmatch(unit)
	if m == nil {
		t.Fatal("the systemd unit sets no TimeoutStopSec in seconds")
	}
	if s, err := strconv.Atoi(string(m[1])); err != nil || time.Duration(s)*time.Second < drain {
		t.Errorf("systemd kills a worker after %ss, want %v", m[1], drain)
	}
}

func TestRedisKeepsItsWrites(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services map[string]struct {
			Command []string `yaml:"command"`
		} `yaml:"services"`
	}
	readYAML(t, "compose.yaml", &compose)
	command := strings.Join(compose.Services["redis"].Command, " ")
	for _, want := range []string{"--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"} {
		if !strings.Contains(command, want) {
			t.Errorf("compose starts Redis as %q, without %s", command, want)
		}
	}
}

func TestEveryYAMLFileParses(t *testing.T) {
	t.Parallel()
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || d.IsDir() || ext != ".yaml" && ext != ".yml" {
			return err
		}
		found++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var doc map[string]any // a key that stands twice is an error
			if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				t.Errorf("%s: %v", path, err)
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("there is no YAML file: the search is broken")
	}
}

func rules(t *testing.T) []deploytest.Rule {
	t.Helper()
	all, err := deploytest.ReadRules(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rule", alertsFile)
	}
	return all
}

func dashboard(t *testing.T) deploytest.Dashboard {
	t.Helper()
	d, err := deploytest.ReadDashboard(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Graphs()) == 0 {
		t.Fatalf("%s has no panel", dashboardFile)
	}
	return d
}

// readYAML reads the first document of a file.
func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
