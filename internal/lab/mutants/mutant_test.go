package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../.."

func TestEveryMutantStillFitsTheCode(t *testing.T) {
	seen := map[string]bool{}
	mutants, err := read(root)
	if err != nil || len(mutants) == 0 {
		t.Fatalf("%d mutants, %v", len(mutants), err)
	}
	for _, m := range mutants {
		if _, err := m.apply(root); err != nil {
			t.Error(err)
		}
		if m.old == m.new || m.risk == "" || seen[m.name] {
			t.Errorf("%q changes nothing, has no risk, or stands there twice", m.name)
		}
		seen[m.name] = true
		if !defines(t, m.pkg, m.test) {
			t.Errorf("%q: package %s has no %s", m.name, m.pkg, m.test)
		}
	}
}

func defines(t *testing.T, pkg, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("\nfunc "+test+"(t *testing.T)")) {
			return true
		}
	}
	return false
}

// toy is a module with one guard, one test that watches it, and others that
// cannot catch anything.
func toy(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module toy\n",
		"door/door.go": "package door\n\n// Open says yes to friends.\nfunc Open(friend bool) bool { return friend }\n",
		"door/door_test.go": `package door

import "testing"

func TestStrangersStayOut(t *testing.T) {
	if Open(false) {
		t.Error("a stranger came in")
	}
}

func TestNothing(t *testing.T) {}
func TestLater(t *testing.T)   { t.Skip("one day") }
func TestBroken(t *testing.T)  { t.Error("broken") }
`,
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOnlyATestThatFailsCatchesAMutant(t *testing.T) {
	root := toy(t)
	caught := mutant{
		name: "no guard", risk: "anybody comes in", file: "door/door.go", old: "return friend", new: "return true",
		pkg: "door", test: "TestStrangersStayOut",
	}
	with := func(change func(*mutant)) mutant {
		m := caught
		change(&m)
		return m
	}
	tests := []struct {
		name    string
		mutant  mutant
		output  string
		problem string
	}{
		{"caught", caught, "door: TestStrangersStayOut", ""},
		{"survives a test that looks elsewhere", with(func(m *mutant) { m.test = "TestNothing" }), "SURVIVED: anybody comes in", "no test failed with: no guard"},
		{"does not compile", with(func(m *mutant) { m.new = "return maybe" }), "", "does it compile?"},
		{"the code has changed", with(func(m *mutant) { m.old = "return stranger" }), "", "stands in door/door.go 0 times"},
		{"two places fit", with(func(m *mutant) { m.old = "friend" }), "", "stands in door/door.go 3 times"},
		{"the test is not there", with(func(m *mutant) { m.test = "TestNone" }), "", "TestNone did not pass"},
		{"the test is skipped", with(func(m *mutant) { m.test = "TestLater" }), "", "TestLater did not pass"},
		{"the test fails anyhow", with(func(m *mutant) { m.test = "TestBroken" }), "", "door, as it is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := run(t.Context(), &out, root, []mutant{tt.mutant})
			if !strings.Contains(out.String(), tt.output) {
				t.Errorf("the output is\n%s\nwant %q in it", &out, tt.output)
			}
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("error %v, want %q", err, tt.problem)
			}
		})
	}
	var out strings.Builder
	broken := with(func(m *mutant) { m.name, m.new = "broken", "return maybe" })
	err := run(t.Context(), &out, root, []mutant{broken, caught})
	if err == nil || !strings.Contains(out.String(), "door: TestStrangersStayOut") || !strings.Contains(out.String(), "2 mutants, 1 caught") {
		t.Errorf("one that does not compile ends the run: %v\n%s", err, &out)
	}
	if text, err := os.ReadFile(filepath.Join(root, "door/door.go")); err != nil || !bytes.Contains(text, []byte("return friend")) {
		t.Errorf("the work tree was written into: %s, %v", text, err)
	}
}
