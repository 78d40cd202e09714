package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// folder is the directory that the user's relative paths start from; "" is the
// working directory of the process. The errors of its methods name a path as the
// user gave it.
type folder string

// path is where a name of the user's leads to.
func (d folder) path(name string) string {
	if d == "" || name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(string(d), name)
}

func (d folder) readFile(name string) ([]byte, error) {
	raw, err := os.ReadFile(d.path(name))
	return raw, asGiven(err, name)
}

func (d folder) open(name string) (*os.File, error) {
	f, err := os.Open(d.path(name))
	return f, asGiven(err, name)
}

func (d folder) stat(name string) (fs.FileInfo, error) {
	info, err := os.Stat(d.path(name))
	return info, asGiven(err, name)
}

// rename renames within a directory.
func (d folder) rename(from, to string) error {
	err := os.Rename(d.path(from), d.path(to))
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		e.Old, e.New = from, to
	}
	return err
}

// asGiven has an error name a path as the user gave it.
func asGiven(err error, name string) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		e.Path = name
	}
	return err
}
