package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// mutant is the code with one mistake in it.
type mutant struct {
	// name says what is wrong, risk what that would cost if no test noticed.
	name, risk string
	// file is the path of the changed file from the module's root; old stands
	// there exactly once, and new in its place.
	file, old, new string
	// pkg is the package of the test that must fail, from the root, and test the name
	// of that test: the fastest that notices.
	pkg, test string
}

// apply returns the changed file.
func (m mutant) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, fmt.Errorf("mutants: %s: %w", m.name, err)
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("mutants: %s: its old text stands in %s %d times, want once: correct the package's mutants.txtar", m.name, m.file, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// failing runs the mutant's test and returns the names of the tests that failed:
// none if it survives.
func (m mutant) failing(ctx context.Context, root string) ([]string, error) {
	text, err := m.apply(root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "camsq-mutant")
	if err != nil {
		return nil, fmt.Errorf("mutants: %w", err)
	}
	defer os.RemoveAll(dir)
	overlay, err := overlay(dir, root, m.file, text)
	if err != nil {
		return nil, fmt.Errorf("mutants: %s: %w", m.name, err)
	}
	output, err := goTest(ctx, root, "-overlay", overlay, "-run", "^"+m.test+"$", "./"+m.pkg)
	if err == nil {
		return nil, nil
	}
	failed := results(output, "FAIL")
	if len(failed) == 0 && panicked.MatchString(output) && !strings.Contains(output, "panic: test timed out") {
		return []string{m.test + " (panic)"}, nil
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("mutants: %s: no test failed, but go test did; does it compile?\n%s", m.name, tail(output))
	}
	return failed, nil
}

// overlay writes what makes the go command read text instead of the file.
func overlay(dir, root, file string, text []byte) (path string, err error) {
	instead := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(instead, text, 0o600); err != nil {
		return "", err
	}
	original, err := filepath.Abs(filepath.Join(root, file))
	if err != nil {
		return "", err
	}
	listed, err := json.Marshal(map[string]map[string]string{"Replace": {original: instead}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, listed, 0o600)
}

// checkPass makes sure that every test of the mutants is there, runs and passes on
// the code as it is: a test that fails anyhow, or is skipped, catches nothing. It
// returns how many they are.
func checkPass(ctx context.Context, root string, mutants []mutant) (n int, err error) {
	tests := map[string][]string{}
	for _, m := range mutants {
		if !slices.Contains(tests[m.pkg], m.test) {
			tests[m.pkg] = append(tests[m.pkg], m.test)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		output, err := goTest(ctx, root, "-v", "-run", "^("+strings.Join(tests[pkg], "|")+")$", "./"+pkg)
		if err != nil {
			return 0, fmt.Errorf("mutants: %s, as it is: %w\n%s", pkg, err, tail(output))
		}
		passed := results(output, "PASS")
		for _, name := range tests[pkg] {
			if !slices.Contains(passed, name) {
				return 0, fmt.Errorf("mutants: %s: %s did not pass: it was skipped, or is not there", pkg, name)
			}
		}
		n += len(tests[pkg])
	}
	return n, nil
}

func goTest(ctx context.Context, root string, args ...string) (output string, err error) {
	c := exec.CommandContext(ctx, "go", append([]string{"test", "-vet=off", "-count=1", "-timeout=3m"}, args...)...)
	c.Dir = root
	text, err := c.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(text), err
}

var (
	resultLine = regexp.MustCompile(`(?m)^--- (PASS|FAIL): (\S+)`)
	// panicked: in a bubble of testing/synctest a test that panics has no result line.
	panicked = regexp.MustCompile(`(?m)^panic: `)
)

// results returns the names of the tests, without subtests, that ended so.
func results(output, how string) []string {
	var names []string
	for _, line := range resultLine.FindAllStringSubmatch(output, -1) {
		if line[1] == how {
			names = append(names, line[2])
		}
	}
	return names
}

func tail(output string) string {
	const most = 4000
	return output[max(0, len(output)-most):]
}
