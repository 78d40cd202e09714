// Command mutants proves that the tests notice when a guard of the promise is
// gone. It takes one guard after the other out of the code, runs the test that
// must fail without it, and prints which test failed. make mutants runs it; words
// after the command run only the mutants with all of them in their name or file.
//
// It promises that each test passes on the code as it is, that a mutant counts as
// caught only by a test that failed, and not by code that does not compile, and
// that a list which no longer fits the code is an error. It never writes into the
// work tree. It refuses to invent mutants: each is a mistake that an engineer could
// make, listed in the file mutants.txtar of the package that it changes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	all, err := read(".")
	if err == nil {
		err = run(ctx, os.Stdout, ".", matching(all, os.Args[1:]))
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// matching returns the mutants with every word in their name or file.
func matching(mutants []mutant, words []string) []mutant {
	var chosen []mutant
	for _, m := range mutants {
		all := true
		for _, w := range words {
			all = all && strings.Contains(m.name+" "+m.file, w)
		}
		if all {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// run tests the mutants of the module in the folder root. Its error names those that
// survived, and those that could not be tested, such as one that does not compile.
func run(ctx context.Context, out io.Writer, root string, mutants []mutant) error {
	if len(mutants) == 0 {
		return errors.New("mutants: none has these words in its name or file")
	}
	began := time.Now()
	tests, err := checkPass(ctx, root, mutants)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d tests pass on the code as it is\n\n", tests)

	width := 0
	for _, m := range mutants {
		width = max(width, len(m.name))
	}
	var survivors []string
	var unknown []error
	for _, m := range mutants {
		start := time.Now()
		failed, err := m.failing(ctx, root)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		by := m.pkg + ": " + strings.Join(failed, ", ")
		switch {
		case err != nil:
			by = "UNKNOWN: " + err.Error()
			unknown = append(unknown, fmt.Errorf("mutants: %s was not tested: %w", m.name, err))
		case len(failed) == 0:
			by = "SURVIVED: " + m.risk
			survivors = append(survivors, m.name)
		}
		fmt.Fprintf(out, "%-*s  %5.1fs  %s\n", width, m.name, time.Since(start).Seconds(), by)
	}
	fmt.Fprintf(out, "\n%d mutants, %d caught, %.0fs\n", len(mutants), len(mutants)-len(survivors)-len(unknown), time.Since(began).Seconds())
	if len(survivors) > 0 {
		unknown = append(unknown, fmt.Errorf("mutants: no test failed with: %s", strings.Join(survivors, "; ")))
	}
	return errors.Join(unknown...)
}
