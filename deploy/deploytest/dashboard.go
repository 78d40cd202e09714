package deploytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// Dashboard is what the checks read of a Grafana dashboard.
type Dashboard struct {
	Title      string  `json:"title"`
	Editable   bool    `json:"editable"`
	Panels     []Panel `json:"panels"`
	Templating struct {
		List []Variable `json:"list"`
	} `json:"templating"`
}

// Variable is one of the choices at a dashboard's top.
type Variable struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Definition string     `json:"definition"`
	AllValue   string     `json:"allValue"`
	Datasource Datasource `json:"datasource"`
}

// Datasource names where a panel asks.
type Datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is one graph, number or, with the type "row", a heading.
type Panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  Datasource `json:"datasource"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID      string     `json:"refId"`
		Expr       string     `json:"expr"`
		Datasource Datasource `json:"datasource"`
	} `json:"targets"`
	Panels []Panel `json:"panels"` // of a collapsed row
}

// ReadDashboard reads a dashboard from its file.
func ReadDashboard(path string) (Dashboard, error) {
	text, err := os.ReadFile(path) //nolint:gosec // A test reads the file that it names.
	if err != nil {
		return Dashboard{}, fmt.Errorf("deploytest: reading a dashboard: %w", err)
	}
	var d Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return Dashboard{}, fmt.Errorf("deploytest: reading dashboard %s: %w", path, err)
	}
	return d, nil
}

// Graphs returns every panel that shows data, also those in collapsed rows.
func (d Dashboard) Graphs() []Panel {
	var graphs []Panel
	var walk func([]Panel)
	walk = func(panels []Panel) {
		for _, p := range panels {
			if p.Type != "row" {
				graphs = append(graphs, p)
			}
			walk(p.Panels)
		}
	}
	walk(d.Panels)
	return graphs
}

// fill puts values in the place of Grafana's variables. The times are longer
// than any test, so that they hold everything that the test has done.
func (d Dashboard) fill(expr string) string {
	oldnew := []string{"$__rate_interval", "2m", "$__range", "1h", "$__interval", "2m"}
	for _, v := range d.Templating.List {
		if v.AllValue != "" {
			oldnew = append(oldnew, "${"+v.Name+"}", v.AllValue, "$"+v.Name, v.AllValue)
		}
	}
	return strings.NewReplacer(oldnew...).Replace(expr)
}

// CheckDashboard runs every query of a dashboard and demands that each comes to
// show at least one number: NaN is none. So the target must have done a bit of
// everything since [StartPrometheus] returned, failures included.
func CheckDashboard(t testing.TB, promURL, dashboardPath string) {
	t.Helper()
	d, err := ReadDashboard(dashboardPath)
	if err != nil {
		t.Fatal(err)
	}
	graphs := d.Graphs()
	if len(graphs) == 0 {
		t.Fatalf("deploytest: dashboard %s has no panel", dashboardPath)
	}
	missing := map[string]error{} // the queries that have shown no number yet, and why
	exprs := map[string]string{}
	for _, p := range graphs {
		for _, target := range p.Targets {
			name := fmt.Sprintf("panel %q, query %s", p.Title, target.RefID)
			exprs[name], missing[name] = d.fill(target.Expr), nil
		}
	}
	_ = poll(t.Context(), answerTimeout, func(ctx context.Context) error {
		for name := range missing {
			err := showsNumber(ctx, promURL, exprs[name])
			switch {
			case err == nil:
				delete(missing, name)
			case ctx.Err() == nil:
				missing[name] = err
			}
		}
		if len(missing) > 0 {
			return errors.New("some panels are empty")
		}
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("deploytest: %s: %s: %v", name, exprs[name], missing[name])
	}
}

func showsNumber(ctx context.Context, promURL, expr string) error {
	values, err := query(ctx, promURL, expr)
	if err == nil && !slices.ContainsFunc(values, isNumber) {
		err = fmt.Errorf("no number in the answer %v", values)
	}
	return err
}

func isNumber(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
