package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/workdir"
)

func WriteError(err error) error {
	if err != nil {
		return exit.Usagef("writing the results: %w", err)
	}
	return nil
}

// File is where the results go: a file that takes its name once it is
// complete, or a stream.
type File struct {
	io.Writer
	Temp *os.File
	dir  workdir.Dir
	name string // in dir
}

// Create opens what a flag names. The input may be "".
func Create(d workdir.Dir, flag, name, input string, stdout io.Writer) (*File, error) {
	if name == "" || name == "-" {
		return &File{Writer: stdout}, nil
	}
	info, err := d.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(d.Path(name), os.O_WRONLY, 0)
		if err != nil {
			return nil, exit.Usagef("%s: %w", flag, workdir.AsGiven(err, name))
		}
		return &File{Writer: f}, nil
	}
	if in, inErr := d.Stat(input); err == nil && inErr == nil && os.SameFile(in, info) {
		return nil, exit.Usagef("%s %s is the input itself; name another file", flag, name)
	}
	path := d.Path(name)
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600: it holds what customers gave
	if err != nil {
		return nil, exit.Usagef("%s: %w", flag, workdir.AsGiven(err, name))
	}
	return &File{Writer: temp, Temp: temp, dir: d, name: name}, nil
}

func (o *File) Save() error {
	if o.Temp == nil {
		return nil
	}
	if err := errors.Join(o.Temp.Sync(), o.Temp.Close()); err != nil {
		_ = os.Remove(o.Temp.Name())
		return err
	}
	return os.Rename(o.Temp.Name(), o.dir.Path(o.name))
}

func (o *File) Discard() {
	if o.Temp != nil {
		_ = o.Temp.Close()
		_ = os.Remove(o.Temp.Name())
	}
}
