package cli

import (
	"errors"
	"io"

	"github.com/camsq/camsq/internal/exit"
	"github.com/camsq/camsq/internal/workdir"
)

// output is standard output. It keeps the first error of a write, which commands that print
// text ignore: the disk may be full, and then a script must not take what is there for whole.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// failure returns the error that a command ends with. If a write has failed, that is the
// write's, with [exit.CodeWrite], unless the command has a worse one to report.
func (o *output) failure(err error) error {
	if o.err == nil {
		return err
	}
	if e, ok := errors.AsType[*exit.Error](err); ok && e.Code != exit.CodeSomeFailed {
		return err
	}
	return workdir.Stream("the output", o.w).Failure(o.err)
}
