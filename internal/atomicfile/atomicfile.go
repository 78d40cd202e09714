// Package atomicfile writes files that take their name when they are complete: a
// reader finds the whole file or none, whatever dies in between.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// File is a file under construction. It has a temporary name in the folder of its
// final one, and its mode is 0600. Its user ends it with Commit, CommitNew or Discard.
type File struct {
	f    *os.File
	path string
}

// Create starts a file that Commit or CommitNew names path. Its folder must exist.
// The error is an [*os.PathError].
func Create(path string) (*File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, err
	}
	return &File{f, path}, nil
}

func (f *File) Write(p []byte) (int, error) { return f.f.Write(p) }

// Read and Seek let the writer compare what it has written with another file.
func (f *File) Read(p []byte) (int, error) { return f.f.Read(p) }

func (f *File) Seek(offset int64, whence int) (int64, error) { return f.f.Seek(offset, whence) }

// Commit gives the file its name. It replaces a file of that name.
func (f *File) Commit() error {
	return f.commit(os.Rename)
}

// CommitNew gives the file its name unless a file has it: then the error is
// [io/fs.ErrExist], and that file stays as it is.
func (f *File) CommitNew() error {
	return f.commit(os.Link) // unlike a rename, a link fails if the name is taken
}

func (f *File) commit(name func(from, to string) error) error {
	defer os.Remove(f.f.Name()) // after a rename the name is gone already
	if err := errors.Join(f.f.Sync(), f.f.Close()); err != nil {
		return err
	}
	if err := name(f.f.Name(), f.path); err != nil {
		return err
	}
	// Without this a power failure may take the name back. A system that cannot sync
	// a folder says so with an error; the file is complete all the same.
	if dir, err := os.Open(filepath.Dir(f.path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// Discard removes the file.
func (f *File) Discard() {
	_ = f.f.Close()
	_ = os.Remove(f.f.Name())
}
