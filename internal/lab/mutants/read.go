package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// listName is the file in which a package lists the mutants of its files.
const listName = "mutants.txtar"

// read returns the mutants of every package below root, in the order of their paths.
func read(root string) ([]mutant, error) {
	var all []mutant
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && p != "." && strings.HasPrefix(d.Name(), ".") {
			return firstOf(err, fs.SkipDir)
		}
		if d.Name() != listName {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			return err
		}
		list, err := parse(path.Dir(p), text)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		all = append(all, list...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mutants: %w", err)
	}
	return all, nil
}

func firstOf(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// parse reads the mutants of the package in dir. Each is a section with the mutant's
// name, which has the lines risk:, file: and test: (package and name), then a section old
// and a section new, whose text ends before its last line end. Without a section new
// the lines of old are left out.
func parse(dir string, text []byte) ([]mutant, error) {
	var list []mutant
	for _, section := range txtar.Parse(text).Files {
		body := string(section.Data)
		if section.Name != "old" && section.Name != "new" {
			m, err := parseHead(dir, section.Name, body)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
			continue
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("section %s comes before a mutant", section.Name)
		}
		m := &list[len(list)-1]
		if section.Name == "old" {
			m.old = body
		} else {
			m.old, m.new = strings.TrimSuffix(m.old, "\n"), strings.TrimSuffix(body, "\n")
		}
	}
	return list, nil
}

func parseHead(dir, name, body string) (mutant, error) {
	m := mutant{name: name}
	for line := range strings.Lines(body) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "risk":
			m.risk = value
		case "file":
			m.file = path.Join(dir, value)
		case "test":
			m.pkg, m.test, _ = strings.Cut(value, " ")
		default:
			return m, fmt.Errorf("%s: there is no %q; want risk, file and test", name, key)
		}
	}
	if m.risk == "" || m.file == "" || m.pkg == "" || m.test == "" {
		return m, fmt.Errorf("%s: want risk, file and test", name)
	}
	return m, nil
}
