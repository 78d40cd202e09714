package atomicfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/camsq/camsq/internal/atomicfile"
)

func create(t *testing.T, path, text string) *atomicfile.File {
	t.Helper()
	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	return f
}

// holds compares a folder's files with what the test expects.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("%d files, want %d: %v", len(entries), len(want), entries)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v; want %q", name, got, err, text)
		}
	}
}

func TestCommit(t *testing.T) {
	t.Run("replaces the old file only when the new one is complete", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "out.csv")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		f := create(t, path, "new")
		if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
			t.Errorf("before Commit: %q, %v", got, err)
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, map[string]string{"out.csv": "new"})
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
	})
	t.Run("that fails leaves no temporary file", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "taken")
		f := create(t, path, "new")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit(); err == nil {
			t.Error("a file has taken the name of a folder")
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v; want the folder alone", entries, err)
		}
	})
}

func TestCommitNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "data.key")
	first, second := create(t, path, "first"), create(t, path, "second")
	if err := first.CommitNew(); err != nil {
		t.Fatal(err)
	}
	if err := second.CommitNew(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second: %v, want fs.ErrExist", err)
	}
	holds(t, dir, map[string]string{"data.key": "first"})
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	create(t, filepath.Join(dir, "out.csv"), "half").Discard()
	holds(t, dir, nil)
}

func TestCreateNeedsItsFolder(t *testing.T) {
	_, err := atomicfile.Create(filepath.Join(t.TempDir(), "none", "out.csv"))
	if _, ok := errors.AsType[*fs.PathError](err); !ok || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want a PathError that is fs.ErrNotExist", err)
	}
}
