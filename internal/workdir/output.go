package workdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/camsq/camsq/internal/atomicfile"
	"github.com/camsq/camsq/internal/exit"
)

// Output is where a command writes: a file that takes its name when it is complete,
// or a stream.
type Output struct {
	io.Writer
	// Temp is the file under construction; nil for a stream.
	Temp *atomicfile.File
	what string // for errors
	name string // as the user gave it; "" is standard output
}

// Create opens what a flag names; "" and "-" are stdout. The errors of [Output.Failure]
// say that what (such as "the results") could not be written. input is the file that
// the command reads, which must be another one, or "".
func (d Dir) Create(what, flag, name, input string, stdout io.Writer) (*Output, error) {
	if name == "" || name == "-" {
		return Stream(what, stdout), nil
	}
	info, err := d.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(d.Path(name), os.O_WRONLY, 0)
		if err != nil {
			return nil, exit.Usagef("%s: %w", flag, AsGiven(err, name))
		}
		return &Output{Writer: f, what: what, name: name}, nil
	}
	if in, inErr := d.Stat(input); err == nil && inErr == nil && os.SameFile(in, info) {
		return nil, exit.Usagef("%s %s is the input itself; name another file", flag, name)
	}
	temp, err := atomicfile.Create(d.Path(name))
	if err != nil {
		return nil, exit.Usagef("%s: %w", flag, AsGiven(err, name))
	}
	return &Output{Writer: temp, Temp: temp, what: what, name: name}, nil
}

// Stream is standard output.
func Stream(what string, stdout io.Writer) *Output { return &Output{Writer: stdout, what: what} }

// Save gives the file its name.
func (o *Output) Save() error {
	if o.Temp == nil {
		return nil
	}
	return o.Temp.Commit()
}

// Discard removes the file.
func (o *Output) Discard() {
	if o.Temp != nil {
		o.Temp.Discard()
	}
}

// Failure is the error of a write that failed, with [exit.CodeWrite]. It is nil if err is.
func (o *Output) Failure(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // its path may be the temporary one
	}
	to := "standard output"
	if o.name != "" {
		to = fmt.Sprintf("%q", o.name)
	}
	return exit.With(exit.CodeWrite, fmt.Errorf("cannot write %s to %s: %w", o.what, to, err))
}
