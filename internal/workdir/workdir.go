package workdir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the directory that the user's relative paths start from; "" is the
// working directory of the process. The errors of its methods name a path as the
// user gave it.
type Dir string

// Path is where a name of the user's leads to.
func (d Dir) Path(name string) string {
	if d == "" || name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(string(d), name)
}

func (d Dir) ReadFile(name string) ([]byte, error) {
	raw, err := os.ReadFile(d.Path(name))
	return raw, AsGiven(err, name)
}

func (d Dir) Open(name string) (*os.File, error) {
	f, err := os.Open(d.Path(name))
	return f, AsGiven(err, name)
}

func (d Dir) Stat(name string) (fs.FileInfo, error) {
	info, err := os.Stat(d.Path(name))
	return info, AsGiven(err, name)
}

// Rename renames within a directory.
func (d Dir) Rename(from, to string) error {
	err := os.Rename(d.Path(from), d.Path(to))
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		e.Old, e.New = from, to
	}
	return err
}

// AsGiven has an error name a path as the user gave it.
func AsGiven(err error, name string) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		e.Path = name
	}
	return err
}
